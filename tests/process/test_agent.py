"""The agent as a process: start, orderly end, sudden end, trouble in one part."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodeplug.host.root import HostRoot
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.supervisor import backend_runner
from nodeplug.testing import Kubelet, Pod
from support.awkward.backend import AwkwardSimulator
from support.awkward.state import State, write_state
from support.command import environment, log_lines
from support.packages import install
from support.stage import BOARD, stage

AWKWARD = "from support.awkward.backend import nodeplug_backend\n"
CUSTOM = "example.com/null"


class Node:
    def __init__(self, agent: AgentProcess, kubelet: Kubelet) -> None:
        self.agent = agent
        self.kubelet = kubelet
        self.host = HostRoot(agent.host_root)

    async def listed(self, resource: str, count: int) -> None:
        def holds() -> bool:
            capacity = self.kubelet.capacity(resource)
            return capacity is not None and capacity.allocatable == count

        await self.kubelet.until(holds)


@asynccontextmanager
async def node(
    monkeypatch: pytest.MonkeyPatch, sections: Mapping[str, Mapping[str, object]]
) -> AsyncGenerator[Node, None]:
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    (folder / "site").mkdir()
    install(folder / "site", "awkward", AWKWARD)
    monkeypatch.setenv("PYTHONPATH", environment(folder / "site")["PYTHONPATH"])
    agent = AgentProcess(folder, sections)
    AwkwardSimulator(agent.host_root)
    (agent.host_root / "dev").mkdir()
    (agent.host_root / "dev/null").touch()
    try:
        async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
            await agent.start()
            yield Node(agent, kubelet)
            await agent.kill()
    finally:
        await agent.kill()
        shutil.rmtree(folder)


async def test_sigterm_ends_the_agent_quickly_and_cleanly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 0 within two seconds, with no traceback."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        started = time.monotonic()
        code = await play.agent.terminate()
        assert (code, time.monotonic() - started < 2.0) == (0, True)
        lines = log_lines(play.agent.log.read_text())
        assert [line["event"] for line in lines][-1] == "stopped"
        assert not [line for line in lines if "traceback" in line]


async def test_sigterm_ends_the_agent_while_a_call_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a driver at the end."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        write_state(play.host, State(hang=True))
        await play.listed(BOARD, 4)
        hanging = asyncio.create_task(play.kubelet.admit(Pod.of({BOARD: 1})))
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("allocate")))
        started = time.monotonic()
        code = await play.agent.terminate()
        assert (code, time.monotonic() - started < 2.0) == (0, True)
        await asyncio.gather(hanging, return_exceptions=True)


async def test_a_killed_agent_is_replaced_by_the_next_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing that a dead process leaves stands in the way of the next."""
    async with node(monkeypatch, {"awkward": {}}) as play:
        await play.listed(BOARD, 4)
        await play.agent.kill()
        await play.listed(BOARD, 0)
        await play.agent.start()
        await play.listed(BOARD, 4)
        instances = list((play.agent.plugin_dir / ".nodeplug").glob("*/lock"))
        assert len(instances) == 1


async def test_a_broken_section_idles_its_backend_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one serves, the log names file and key."""
    async with node(monkeypatch, {"awkward": {}, "custom": {"resuorces": []}}) as play:
        await play.listed(BOARD, 4)
        lines = log_lines(play.agent.log.read_text())
        refused = [line for line in lines if line["event"] == "configuration section refused"]
        assert "backends.custom.resuorces: is not a known key" in str(refused[0]["error"])


async def test_a_crashing_backend_is_restarted_and_disturbs_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last list stands meanwhile."""
    section = {"resources": [{"name": CUSTOM, "devices": [{"path": "/dev/null", "type": "file"}]}]}
    async with node(monkeypatch, {"awkward": {}, "custom": section}) as play:
        await play.listed(BOARD, 4)
        await play.listed(CUSTOM, 1)
        write_state(play.host, State(crash=True))
        write_state(play.host, State(sick=("awk-board-0",)))
        await play.listed(BOARD, 3)
        assert len(play.kubelet.journal.of("list", CUSTOM)) == 1


async def test_a_backend_that_stays_down_takes_its_devices_out_of_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The last list stands for a time, then every device is Unhealthy; then all is well again."""
    monkeypatch.setattr(backend_runner, "STANDS_SECONDS", 0.2)
    async with stage() as play:
        play.set(State(crash=True))
        await play.listed(allocatable=0)
        play.set(State())
        await play.listed(allocatable=4)
