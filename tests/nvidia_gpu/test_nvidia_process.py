"""The agent as a process, while a call of the driver hangs."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet
from nodeplug.testing.patience import patience
from support.nvml_host import GPU, QUICK, NvmlHost, uuid, watching
from support.nvml_library import compiled
from support.nvml_state import CRASH
from support.timed import on_this_machine, timed

CALLS = 300
FILE = "example.com/file"
OTHERS = {"resources": [{"name": FILE, "devices": [{"path": "/opt/file", "type": "file"}]}]}


class Process:
    def __init__(self, agent: AgentProcess, kubelet: Kubelet, host: NvmlHost) -> None:
        self.agent = agent
        self.kubelet = kubelet
        self.host = host

    async def listed(self, count: int) -> None:
        await self.kubelet.until(lambda: len(self.kubelet.devices(GPU)) == count)

    async def happens(self, kind: str, *resources: str, times: int = 1) -> None:
        """Wait until the kubelet has seen it of these resources."""
        journal = self.kubelet.journal
        await self.kubelet.until(lambda: all(len(journal.of(kind, r)) >= times for r in resources))

    async def hung(self) -> None:
        """Have the driver hang, and wait until a call does."""
        self.host.state.hang = 1
        await hanging(self.host)

    async def allocate_seconds(self) -> float:
        """Return how long the slowest of a hundred Allocates takes at most."""
        request = self.kubelet.journal.of("register")[-1].request
        assert request is not None
        target = f"unix:{self.kubelet.directory / request.endpoint}"
        one = api.ContainerAllocateRequest(devices_ids=[uuid(3)])
        async with grpc.aio.insecure_channel(target) as channel:
            stub = api_grpc.DevicePluginStub(channel)
            seconds = []
            for _ in range(CALLS):
                started = time.monotonic()
                await stub.Allocate(api.AllocateRequest(container_requests=[one]))
                seconds.append(time.monotonic() - started)
        return sorted(seconds)[-CALLS // 100]


async def hanging(host: NvmlHost) -> None:
    async with patience(5):
        # Shared memory tells nobody of its changes.
        while not host.state.hanging:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def process(libraries: Path, **others: Mapping[str, object]) -> AsyncIterator[Process]:
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    agent = AgentProcess(folder, {"nvidia_gpu": {"health": QUICK}, **others})
    host = NvmlHost(agent.host_root, compiled(libraries), 8)
    host.install()
    try:
        async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
            yield Process(agent, kubelet, host)
            await agent.kill()
    finally:
        await agent.kill()
        host.close()
        shutil.rmtree(folder)


@timed
async def test_allocate_is_as_quick_while_a_call_hangs(libraries: Path) -> None:
    """Pods get the GPUs that are known; only news has to wait."""
    async with process(libraries) as play:
        await play.agent.start()
        await play.listed(8)
        before = await play.allocate_seconds()
        await play.hung()
        assert await play.allocate_seconds() < on_this_machine(2 * before + 0.002)


async def test_calls_do_not_pile_up_behind_one_that_hangs(eight: NvmlHost) -> None:
    """Each reload of the configuration starts a backend; it shows what the last one saw."""
    backend = eight.backend()
    async with watching(backend) as inventories:
        first = await anext(inventories)
        eight.fault("nvmlDeviceGetCount", hang=True)
        await hanging(eight)
    for _ in range(5):
        backend = eight.backend(backend.memory)
        async with watching(backend) as inventories:
            assert await anext(inventories) == first
    assert eight.state.hanging == 1


@timed
@pytest.mark.parametrize("listed", [True, False], ids=["later", "at the start"])
async def test_sigterm_ends_the_agent_while_a_call_hangs(libraries: Path, *, listed: bool) -> None:
    """Nobody waits for a driver at the end."""
    async with process(libraries) as play:
        play.host.state.hang = not listed
        await play.agent.start()
        if listed:
            await play.listed(8)
        await play.hung()
        started = time.monotonic()
        code = await play.agent.terminate()
        assert (code, time.monotonic() - started < on_this_machine(2)) == (0, True)


async def test_all_that_a_crash_of_the_library_ends_is_there_again_after_a_start(
    libraries: Path,
) -> None:
    """It ends the agent with all its backends; the kubelet starts that anew."""
    async with process(libraries, custom=OTHERS) as play:
        (play.agent.host_root / "opt").mkdir()
        (play.agent.host_root / "opt/file").touch()
        await play.agent.start()
        await play.happens("list", GPU, FILE)
        fault = play.host.fault("nvmlDeviceGetTemperature", 3)
        fault.hang = CRASH
        await play.happens("disconnect", GPU, FILE)
        fault.hang = 0
        await play.agent.start()
        await play.happens("list", GPU, FILE, times=2)
        assert [*play.kubelet.devices(GPU).values()] == ["Healthy"] * 8


async def test_a_driver_that_hangs_at_the_start_holds_nothing_up(libraries: Path) -> None:
    """The resource is registered without devices, which come when the driver answers."""
    async with process(libraries) as play:
        play.host.state.hang = 1
        await play.agent.start()
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("list", GPU)))
        assert play.kubelet.devices(GPU) == {}
        play.host.state.hang = 0
        await play.listed(8)
