"""An agent as a process, one of whose devices hangs: who notices, and what it costs."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet
from support import hung_devices
from support.hung_devices import Stage
from support.timed import on_this_machine, timed
from support.watched import Watch, free_port

TURNS = 100
BACKENDS = ("custom", "intel_fpga", "nvidia_gpu", "sriov_net")


class Play:
    """An agent that serves a stage whose device hangs, as the kubelet knows already."""

    def __init__(self, agent: AgentProcess, kubelet: Kubelet, stage: Stage, port: int) -> None:
        self.agent = agent
        self.watch = Watch(port)
        self._kubelet = kubelet
        self._stage = stage

    async def hang(self) -> None:
        await self._shows(self._stage.hung, "Healthy")
        self._stage.hang()
        await self._shows(self._stage.hung, "Unhealthy")

    async def turn(self, *, well: bool) -> float:
        """Change the other device; return how long it takes until that is listed."""
        started = time.monotonic()
        self._stage.turn(well)
        return await self._shows(self._stage.other, "Healthy" if well else "Unhealthy") - started

    def cpu_seconds(self) -> float:
        return sum(psutil.Process(self.agent.pid).cpu_times()[:2])

    async def _shows(self, device: str, health: str) -> float:
        """Wait for that; return when the list came."""
        resource = self._stage.resource
        await self._kubelet.until(lambda: self._kubelet.devices(resource).get(device) == health)
        return self._kubelet.journal.of("list", resource)[-1].at


@asynccontextmanager
async def playing(backend: str, libraries: Path) -> AsyncIterator[tuple[Play, str]]:
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    (folder / "host").mkdir()
    try:
        with getattr(hung_devices, backend)(folder / "host", libraries) as stage:
            agent, port = AgentProcess(folder, {backend: stage.section}), free_port()
            agent.settings = {"metrics": {"address": "127.0.0.1", "port": port}}
            agent.offer([])
            async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
                await agent.start()
                try:
                    play = Play(agent, kubelet, stage, port)
                    await play.hang()
                    yield play, stage.name
                finally:
                    stage.go_on()  # what waits for it cannot be killed
                    await agent.kill()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give where the driver's library is compiled to."""
    return tmp_path_factory.mktemp("nvml")


@timed
@pytest.mark.timeout(60)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_events_of_others_are_told_at_once_and_waiting_costs_nothing(
    backend: str, libraries: Path
) -> None:
    """Within 100 ms, 99 times of 100; less than 2 % of a core."""
    async with playing(backend, libraries) as (play, _):
        figures = [await play.turn(well=bool(number % 2)) for number in range(TURNS)]
        before, began = play.cpu_seconds(), time.monotonic()
        await asyncio.sleep(5)  # the time that is measured
        share = (play.cpu_seconds() - before) / (time.monotonic() - began)
    assert sorted(figures)[TURNS * 99 // 100 - 1] < on_this_machine(0.100)
    assert share < 0.02


@pytest.mark.timeout(60)
@pytest.mark.parametrize("backend", BACKENDS)
async def test_the_page_of_readiness_names_it(backend: str, libraries: Path) -> None:
    """The agent is ready: all others are served."""
    async with playing(backend, libraries) as (play, name):
        await play.watch.until("/readyz", 200, f"{name}: a device does not answer")
