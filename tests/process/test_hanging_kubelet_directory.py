"""The disk of the kubelet's directory stops answering under an agent, and answers again."""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet, Pod
from support.fuse import can_serve_files
from support.hanging_disk import HangingDisk
from support.needs import require
from support.timed import on_this_machine, timed
from support.watched import Watch, free_port

RESOURCE = "example.com/port"
SECTION = {"resources": [{"name": RESOURCE, "devices": [{"path": "/dev/ttyX*", "type": "file"}]}]}
SILENT = "the disk does not answer"
GRACE_SECONDS = 10.0

pytestmark = pytest.mark.timeout(150)


class Play:
    def __init__(self, agent: AgentProcess, kubelet: Kubelet, disk: HangingDisk) -> None:
        self.agent = agent
        self.kubelet = kubelet
        self.disk = disk

    def plug(self, name: str) -> None:
        (self.agent.host_root / "dev" / name).touch()

    def unplug(self, name: str) -> None:
        (self.agent.host_root / "dev" / name).unlink()

    async def listed(self, count: int) -> None:
        def holds() -> bool:
            capacity = self.kubelet.capacity(RESOURCE)
            return capacity is not None and capacity.allocatable == count

        await self.kubelet.until(holds, 60)

    async def hang(self, watch: Watch) -> None:
        """Let the disk hang, and the agent notice."""
        self.disk.hang()
        await watch.until("/readyz", 503, SILENT)


@asynccontextmanager
async def playing(port: int, *, hangs: bool = False) -> AsyncGenerator[Play, None]:
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    agent = AgentProcess(folder, {"custom": SECTION})
    agent.settings = {"metrics": {"address": "127.0.0.1", "port": port}}
    agent.offer([])
    (agent.host_root / "dev").mkdir()
    (folder / "disk").mkdir()
    try:
        with HangingDisk(folder / "disk", agent.plugin_dir) as disk:
            async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
                play = Play(agent, kubelet, disk)
                play.plug("ttyX0")
                play.plug("ttyX1")
                if hangs:
                    disk.hang()
                await agent.start()
                try:
                    yield play
                finally:
                    disk.go_on()
                    await agent.kill()
    finally:
        shutil.rmtree(folder)


async def test_devices_are_told_and_given_meanwhile() -> None:
    """Their health and pods need no disk; that it hangs is said."""
    port = free_port()
    async with playing(port) as play:
        await play.listed(2)
        await play.hang(Watch(port))
        play.unplug("ttyX0")
        await play.listed(1)
        await play.kubelet.admit(Pod.of({RESOURCE: 1}))


@timed
async def test_the_agent_answers_at_once_meanwhile() -> None:
    """Its event loop turns: 100 ms at the 99th percentile."""
    port = free_port()
    async with playing(port) as play:
        await play.listed(2)
        watch = Watch(port)
        play.disk.hang()
        delays: list[float] = []
        while len(delays) < 1000 or not play.disk.is_waited_for:
            started = time.monotonic()
            assert (await watch.get("/healthz"))[0] == 200
            delays.append(time.monotonic() - started)
            await asyncio.sleep(0.005)
        assert statistics.quantiles(delays, n=100)[98] < on_this_machine(0.1)


@timed
async def test_sigterm_ends_the_agent_meanwhile() -> None:
    """Long before the kubelet would kill it; the next one serves as if nothing had been."""
    port = free_port()
    async with playing(port) as play:
        await play.listed(2)
        await play.hang(Watch(port))
        started = time.monotonic()
        code = await play.agent.terminate()
        assert (code, time.monotonic() - started < on_this_machine(GRACE_SECONDS)) == (0, True)
        play.disk.go_on()
        await play.agent.start()
        await play.listed(2)


async def test_sigterm_ends_an_agent_that_does_not_know_yet() -> None:
    """Nothing was asked of the disk since it hangs."""
    async with playing(free_port()) as play:
        await play.listed(2)
        play.disk.hang()
        assert await play.agent.terminate() == 0


async def test_a_kubelet_that_restarted_meanwhile_is_told_everything() -> None:
    """As soon as the disk answers; nothing is left of the fallbacks."""
    port = free_port()
    async with playing(port) as play:
        await play.listed(2)
        await play.hang(Watch(port))
        await play.kubelet.restart()
        play.unplug("ttyX0")
        play.disk.go_on()
        await play.listed(1)
        await Watch(port).until("/readyz", 200, "ok")


async def test_an_agent_that_starts_meanwhile_serves_when_the_disk_answers() -> None:
    """It is alive until then."""
    port = free_port()
    async with playing(port, hangs=True) as play:
        await Watch(port).open(60)
        await Watch(port).until("/healthz", 200)
        play.disk.go_on()
        await play.listed(2)
