"""`nodeplug doctor` as operators run it."""

import asyncio
import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nodeplug.testing import Kubelet
from support import without_links
from support.agent_node import AWKWARD, node
from support.command import Result, environment, nodeplug, write_config
from support.mounts import can_mount_in_namespace
from support.needs import require
from support.packages import install
from support.watched import free_port

BACKEND = ("--backend", "awkward")


@pytest.fixture(name="short")
def _short() -> Iterator[Path]:
    """Give a folder whose path leaves room for sockets."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


def run(site: Path, prefix: Sequence[str], config: Path) -> Result:
    """Run the doctor by way of another command."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "nodeplug", "doctor", *BACKEND, "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        env=environment(site),
    )
    return Result(done.returncode, done.stdout, done.stderr)


def filters_calls(prefix: Sequence[str]) -> bool:
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0


def configured(folder: Path, **others: Any) -> Path:
    """Install the awkward backend and return a configuration below a folder."""
    install(folder, "awkward", AWKWARD)
    (folder / "awkward").mkdir()
    (folder / "awkward/state.json").write_text("{}")
    kubelet = {
        "devicePluginDir": str(folder / "dp"),
        "podResourcesSocket": str(folder / "pr.sock"),
    }
    host = {"root": str(folder), "ledgerDir": str(folder / "ledger")}
    sections = {"metrics": {"enabled": False}, "host": host} | others
    return write_config(folder, {"kubelet": kubelet, **sections})


async def test_nothing_is_wrong_where_an_agent_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent has the metrics port: it is known to be one of ours."""
    metrics = {"enabled": True, "address": "127.0.0.1", "port": free_port()}
    async with node(monkeypatch, {"awkward": {}}, metrics=metrics) as play:
        await play.listed("awkward.example.com/board", 4)
        await play.listed("awkward.example.com/slice", 8)
        config = str(play.agent.config)
        site = play.agent.config.parent / "site"
        # Folders for temporary files are rarely on a tmpfs.
        disk = write_config(site, {"host": {"ledgerDir": ""}})
        command = ("doctor", *BACKEND, "--config", config, "--config", str(disk))
        result = await asyncio.to_thread(nodeplug, *command, site=site)
        assert (result.code, result.err) == (0, "")
        assert result.out.splitlines()[1:] == ["nothing wrong was found"]


async def test_problems_and_warnings_are_printed_with_rule_and_remedy(short: Path) -> None:
    """Exit code 1, for there is a problem."""
    (short / "dp").mkdir()
    result = await asyncio.to_thread(run, short, (), configured(short))
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    assert result.code == 1
    assert lines[0].startswith(f"python {platform.python_version()}, nodeplug ")
    assert lines[2:7] == [
        "1 PROBLEM",
        f"{short}/dp/kubelet.sock",
        "finding is not there",
        "rule devices are advertised to the kubelet that listens there (R6)",
        "remedy start the kubelet; if it runs, mount its own directory here",
    ]
    assert lines[8:10] == ["1 WARNING", f"{short}/pr.sock"]


async def test_with_warnings_alone_the_exit_code_is_0(short: Path) -> None:
    """As JSON, every part of a finding has a name."""
    config = configured(short)
    async with Kubelet(short / "dp"):
        command = ("doctor", *BACKEND, "--config", str(config), "--output", "json")
        result = await asyncio.to_thread(nodeplug, *command, site=short)
    shown = json.loads(result.out)
    (finding,) = shown["findings"]
    assert (result.code, finding["severity"]) == (0, "warning")
    assert finding.keys() == {"severity", "subject", "finding", "remedy", "rule"}
    assert shown["versions"]["test-awkward"] == "1.0"


async def test_devices_that_are_quarantined_are_named(short: Path) -> None:
    """Row K6: with the operator's reason."""
    (short / "dp").mkdir()
    rules = [{"devices": {"id": "awk-board-[0-3]"}, "reason": "fan is loud"}]
    result = await asyncio.to_thread(run, short, (), configured(short, quarantine=rules))
    lines = [" ".join(line.split()) for line in result.out.splitlines()]
    first = lines.index("finding quarantined: fan is loud")
    assert lines[first - 1] == "awk-board-0, awk-board-1, awk-board-2, awk-board-3"


async def test_a_directory_that_cannot_be_written_is_a_problem(short: Path) -> None:
    """Even for root."""
    require(can_mount_in_namespace(), "mounting in a namespace of its own is not allowed")
    config = configured(short)
    async with Kubelet(short / "dp", pod_resources=short / "pr.sock"):
        script = 'mount --bind "$0" "$0"; mount -o remount,ro,bind "$0"; exec "$@"'
        prefix = ("unshare", "--mount", "sh", "-ec", script, str(short / "dp"))
        result = await asyncio.to_thread(run, short, prefix, config)
    assert result.code == 1
    assert "cannot be written: Read-only file system" in result.out


async def test_a_directory_without_hard_links_is_a_warning(short: Path) -> None:
    """The agent makes do."""
    prefix = (sys.executable, without_links.__file__)
    require(filters_calls(prefix), "system calls cannot be filtered here")
    config = configured(short)
    async with Kubelet(short / "dp", pod_resources=short / "pr.sock"):
        result = await asyncio.to_thread(run, short, prefix, config)
    assert (result.code, "1 WARNING" in result.out) == (0, True)
    assert "has no hard links: Operation not permitted" in result.out
    assert not list((short / "dp").glob(".nodeplug-*"))


def test_a_file_that_is_no_configuration_and_a_missing_backend_are_findings(
    tmp_path: Path,
) -> None:
    """The rest of the node is examined all the same."""
    config = tmp_path / "c.yaml"
    config.write_text("kubelet: [")
    result = nodeplug(
        "doctor", "--backend", "nope", "--config", str(config), "--output", "json", site=tmp_path
    )
    found = {each["subject"]: each["finding"] for each in json.loads(result.out)["findings"]}
    assert result.code == 1
    assert str(config) in found["configuration"]
    assert "'nope' is not installed" in found["backend"]


async def test_text_that_a_terminal_would_obey_is_escaped(short: Path) -> None:
    """A file name is anybody's to choose."""
    config = configured(short, cdi={"specDir": str(short / "cdi")})
    (short / "cdi").mkdir()
    (short / "cdi/\x1b[2J.json").write_text("{")
    result = await asyncio.to_thread(run, short, (), config)
    assert "\x1b" not in result.out
    assert "\\x1b[2J.json" in result.out
