"""An agent on a machine whose limits are reached."""

import json
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.agent_node import Node, node
from support.command import write_config
from support.namespaces import with_own_limits

FILE = "example.com/file"
SECTION = {
    "custom": {
        "reconcileSeconds": 0,
        "resources": [{"name": FILE, "devices": [{"path": "/dev/f*", "type": "file"}]}],
    }
}
LIMITS = Path("/proc/sys/user")


def limited(**limits: int) -> list[str]:
    """Return what to put before a command that is to run under limits of inotify."""
    lines = [f"echo {value} > {LIMITS}/max_inotify_{name}" for name, value in limits.items()]
    return [*with_own_limits(), "sh", "-c", "; ".join([*lines, 'exec "$0" "$@"'])]


async def restarted(play: Node) -> None:
    """Have the kubelet start anew, and wait for the agent to tell it."""
    registered = len(play.kubelet.journal.of("register", FILE))
    await play.kubelet.stop()
    await play.kubelet.start()
    await play.kubelet.until(lambda: len(play.kubelet.journal.of("register", FILE)) > registered)


@pytest.mark.parametrize("instances", [0, 1, 2])
async def test_an_agent_without_inotify_serves_and_follows(
    monkeypatch: pytest.MonkeyPatch, instances: int
) -> None:
    """Devices, the kubelet and the configuration; each change is seen by a look."""
    async with node(monkeypatch, SECTION, limited(instances=instances)) as play:
        await play.listed(FILE, 0)
        (play.host.dev / "f1").touch()
        await play.listed(FILE, 1)
        await restarted(play)
        await play.listed(FILE, 1)
        play.agent.offer([{"resource": FILE, "replicas": 3}])
        await play.listed(FILE, 3)
        assert play.agent.running


async def test_an_agent_takes_the_descriptors_that_it_may_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Runtimes of containers set a low limit that can be raised."""
    before = ["sh", "-c", 'ulimit -S -n 200; exec "$0" "$@"']
    async with node(monkeypatch, SECTION, before) as play:
        await play.listed(FILE, 0)
        limit, most = resource.prlimit(play.agent.pid, resource.RLIMIT_NOFILE)
        assert limit in {most, 65_536}


@pytest.mark.parametrize("limit", ["instances", "watches"])
def test_the_doctor_sees_that_nothing_can_be_watched(tmp_path: Path, limit: str) -> None:
    """Its finding names the limits."""
    file = write_config(tmp_path, {"kubelet": {"devicePluginDir": str(tmp_path)}})
    command = [sys.executable, "-m", "nodeplug", "doctor", "--backend", "custom"]
    words = [*limited(**{limit: 0}), *command, "--config", str(file), "--output", "json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    found = {each["subject"]: each for each in json.loads(done.stdout)["findings"]}
    assert "fs.inotify.max_user_instances" in found["inotify"]["remedy"]


async def test_an_agent_whose_watches_run_out_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories that are replaced need new ones: that of devices, then that of the kubelet."""
    async with node(monkeypatch, SECTION, limited()) as play:
        await play.listed(FILE, 0)
        limit(play.agent.pid, watches=0)
        shutil.rmtree(play.host.dev)
        play.host.dev.mkdir()
        (play.host.dev / "f1").touch()
        await play.listed(FILE, 1)
        (play.host.dev / "f2").touch()
        await play.listed(FILE, 2)
        await play.kubelet.stop()
        play.agent.plugin_dir.rename(play.agent.plugin_dir.with_name("former"))
        play.agent.plugin_dir.mkdir()
        await play.kubelet.start()
        await play.listed(FILE, 2)
        assert play.agent.running
        assert "directory not watched" in play.agent.log.read_text()


def limit(pid: int, **limits: int) -> None:
    """Set limits in the user namespace of a process."""
    for name, value in limits.items():
        file = f"{LIMITS}/max_inotify_{name}"
        command = ["nsenter", "--user", "--preserve-credentials", "--target", str(pid)]
        subprocess.run([*command, "sh", "-c", f"echo {value} > {file}"], check=True)
