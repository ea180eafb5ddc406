"""Another plugin is measured beside one of ours, whatever it does."""

import json
import os
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.interrupts import IN_BACKGROUND
from support.repository import ROOT

MINIMAL = f"{sys.executable} {ROOT / 'benchmarks/minimal_plugin.py'} {{dir}}"
FEW = (
    *("--starts", "1", "--restarts", "1", "--changes", "1", "--calls", "20"),
    *("--idle-seconds", "1", "--seconds", "5"),
)
Figures = dict[str, dict[str, Any]]

pytestmark = pytest.mark.xdist_group("compare")


def words(plugin: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "benchmarks.compare", "--plugin", plugin, *FEW, *options]


def compared(plugin: str, *options: str) -> Figures:
    command = words(plugin, "--output", "json", *options)
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return {figure["name"]: figure for figure in json.loads(done.stdout)["figures"]}


@pytest.fixture(name="minimal", scope="module")
def _minimal() -> Figures:
    """Compare the plugin that registers once."""
    return compared(MINIMAL)


@pytest.mark.timeout(120)
def test_every_figure_of_ours_is_there(minimal: Figures) -> None:
    """Nothing is quicker than time or smaller than nothing."""
    assert len(minimal) == 9
    assert all(figure["ours"] > 0 for figure in minimal.values())


@pytest.mark.timeout(120)
def test_a_ratio_is_ours_over_theirs(minimal: Figures) -> None:
    """Where both have a figure."""
    both = [f for f in minimal.values() if not isinstance(f["theirs"], str)]
    assert [f["unit"] for f in both] == ["MiB", "%", "s", "ms", "ms"]
    assert [f["ratio"] for f in both] == [pytest.approx(f["ours"] / f["theirs"]) for f in both]


@pytest.mark.timeout(120)
def test_a_plugin_that_does_not_come_back_never_does(minimal: Figures) -> None:
    """It is shown so, and the others go on."""
    found = minimal["kubelet.sock made anew to list, p50"]
    assert (found["theirs"], found["ratio"]) == ("never", None)


@pytest.mark.timeout(120)
def test_what_nobody_can_change_is_not_measured(minimal: Figures) -> None:
    """Ours is."""
    found = minimal["device changed to changed list, p50"]
    assert (found["theirs"], found["ratio"]) == ("not measured", None)


@pytest.fixture(name="sound", scope="module")
def _sound(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """Compare a plugin that survives everything: ours, by a command that could be anybody's."""
    folder = tmp_path_factory.mktemp("sound")
    device = folder / "dev/thing"
    device.parent.mkdir()
    device.touch()
    things = [{"name": "example.com/thing", "devices": [{"path": "/dev/thing", "type": "file"}]}]
    config = {
        "kubelet": {"devicePluginDir": "DIR", "podResourcesSocket": "DIR/none.sock"},
        "host": {"root": str(folder), "uevents": str(folder / "uevents.sock"), "ledgerDir": ""},
        "metrics": {"enabled": False},
        "backends": {"custom": {"resources": things}},
    }
    (folder / "template").write_text(json.dumps(config))
    run = f"exec {sys.executable} -m nodeplug run --backend custom --config {folder}/config"
    script = f"sed s,DIR,{{dir}},g {folder}/template > {folder}/config; {run}"
    return compared(
        f"sh -c {shlex.quote(script)}", "--change", f"rm {device}", "--undo", f"touch {device}"
    )


@pytest.mark.timeout(120)
def test_a_plugin_that_comes_back_is_timed(sound: Figures) -> None:
    """The same as ours."""
    assert sound["kubelet.sock made anew to list, p50"]["theirs"] > 0


@pytest.mark.timeout(120)
def test_a_device_that_a_command_changes_is_timed(sound: Figures) -> None:
    """There and back."""
    assert sound["device changed to changed list, p50"]["theirs"] > 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        ("sh -c 'sleep 60' {dir}", "Error: nothing registers within 1 s\n"),
        ("false {dir}", "Error: nothing registers within 1 s; the plugin has ended with code 1\n"),
    ],
)
def test_a_plugin_that_never_registers_is_one_line(plugin: str, said: str) -> None:
    """On standard error; the exit code is 1."""
    command = words(plugin, "--seconds", "1", "--output", "json")
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("how", "code"), [(signal.SIGINT, 1), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_nothing_is_left_of_a_run_that_is_ended(how: signal.Signals, code: int) -> None:
    """Wherever it is."""
    with begun("--starts", "1000000") as (running, folders, mark):
        running.send_signal(how)
        assert running.wait() == code
        assert not left(folders, mark)


@pytest.mark.timeout(60)
def test_nothing_is_left_of_a_run_that_fails() -> None:
    """Here by the command that should change a device."""
    failing = ("--change", "exit 7", "--undo", "true")
    with begun(*failing) as (running, folders, mark):
        assert running.wait() == 1
        assert running.stderr is not None
        assert running.stderr.read() == "Error: 'exit 7' ends with code 7\n"
        assert not left(folders, mark)


@contextmanager
def begun(*options: str) -> Iterator[tuple[subprocess.Popen[str], set[Path], str]]:
    """Run a comparison whose plugins both serve; give its folders and the mark of its processes."""
    mark = uuid.uuid4().hex
    with subprocess.Popen(
        (*IN_BACKGROUND, *words(MINIMAL, *options)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1", "COMPARISON": mark},
    ) as running:
        assert running.stdout is not None
        for _ in range(3):
            running.stdout.readline()
        sockets = [str(s.laddr) for s in psutil.Process(running.pid).net_connections("unix")]
        folders = {Path(*Path(socket).parts[:3]) for socket in sockets if "/np" in socket}
        assert {folder.name[:3] for folder in folders} == {"npq", "npb"}
        assert len(marked(mark)) >= 2
        try:
            yield running, folders, mark
        finally:
            running.kill()


def left(folders: set[Path], mark: str) -> list[object]:
    return [*marked(mark), *(folder for folder in folders if folder.exists())]


def marked(mark: str) -> list[psutil.Process]:
    return [process for process in psutil.process_iter() if mark in environment(process)]


def environment(process: psutil.Process) -> Collection[str]:
    try:
        return process.environ().values()
    except psutil.Error:
        return ()
