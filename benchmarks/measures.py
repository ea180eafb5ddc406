"""The measurements, one function for each row or group of rows of the promise table."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import copy
from pathlib import Path

import grpc
import psutil

from benchmarks import minimal_plugin
from benchmarks.calls import allocate_repeatedly, find, request
from benchmarks.limited import memory_limit
from benchmarks.node import BOARD, CUSTOM, EXTRA, Node, custom_section, open_node
from benchmarks.operations import all_backends, everything_on, scrapes
from benchmarks.preferences import preferred_allocation
from benchmarks.report import Figure, percentile
from benchmarks.usage import cpu_share, resident
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Profile
from support.allocatable import Allocatable

_STARTS = 10
_RESTARTS = 100
_EXCHANGES = 20
_STANDING_BY = "standing by"
_CHANGES = 100
_IDLE_SECONDS = 20.0
_MANY = 10_000


async def start_and_memory() -> AsyncIterator[Figure]:
    """From the start of the process to the registration, and what it holds in memory then."""
    ours, theirs, memory, minimal_memory = [], [], 0.0, 0.0
    async with open_node(custom_section()) as node:
        for _ in range(_STARTS):
            started = time.monotonic()
            await node.agent.start()
            ours.append(await node.listed(CUSTOM, 4) - started)
            memory = node.memory()
            await node.agent.terminate()
            await node.listed(CUSTOM, 0)
            seconds, minimal_memory = await _start_minimal(node)
            theirs.append(seconds)
    median, yardstick = percentile(ours, 50), percentile(theirs, 50)
    beside = f"{median / yardstick:.1f} x a minimal grpc.aio plugin"
    yield Figure("start of process to first list, median", median, "s", 0.35, beside)
    beside = f"{memory / minimal_memory:.1f} x a minimal grpc.aio plugin"
    yield Figure("resident, one backend (custom)", memory, "MiB", 40, beside)


async def _start_minimal(node: Node) -> tuple[float, float]:
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, minimal_plugin.__file__, str(node.agent.plugin_dir)
    )
    listed = await node.listed(minimal_plugin.RESOURCE, 4)
    memory = resident([psutil.Process(process.pid)])
    process.kill()
    await process.wait()
    await node.listed(minimal_plugin.RESOURCE, 0)
    return listed - started, memory


async def kubelet_restarts() -> AsyncIterator[Figure]:
    """From kubelet.sock made anew to the complete list in the kubelet's hands."""
    seconds = []
    async with open_node(custom_section()) as node:
        await node.agent.start()
        await node.listed(CUSTOM, 4)
        for _ in range(_RESTARTS):
            await node.kubelet.stop()
            await node.kubelet.start()
            listed = await node.listed(CUSTOM, 4)
            seconds.append(listed - node.kubelet.journal.of("start")[-1].at)
    yield Figure("kubelet.sock made anew to complete list, p50", _ms(seconds, 50), "ms", 5)
    yield Figure("kubelet.sock made anew to complete list, p99", _ms(seconds, 99), "ms", 25)


async def handovers() -> AsyncIterator[Figure]:
    """For how long a rolling update leaves nothing allocatable, with a standby and without."""
    for profile in (Profile.V1_36, Profile.V1_37):
        gaps = await _gaps(profile, _handed_over)
        about = f"handover, kubelet {profile.value}: none allocatable"
        yield Figure(f"{about}, p50", _ms(gaps, 50), "ms")
        yield Figure(f"{about}, p99", _ms(gaps, 99), "ms", 50)
    gaps = await _gaps(Profile.V1_36, _started_anew)
    yield Figure("end and start without one: none allocatable, p50", _ms(gaps, 50), "ms")


async def _gaps(
    profile: Profile, exchange: Callable[[AgentProcess, AgentProcess], Awaitable[None]]
) -> list[float]:
    seconds = []
    async with open_node(custom_section(), profile) as node:
        await node.agent.start()
        for _ in range(_EXCHANGES):
            await node.listed(CUSTOM, 4)
            allocatable = Allocatable(node.kubelet, CUSTOM)
            old, node.agent = node.agent, copy(node.agent)
            await exchange(old, node.agent)
            await asyncio.sleep(0.5)
            await node.listed(CUSTOM, 4)
            seconds.append(sum(end - start for start, end in await allocatable.gaps()))
    return seconds


async def _handed_over(old: AgentProcess, new: AgentProcess) -> None:
    before = new.log.read_text().count(_STANDING_BY)
    await new.start()
    while new.log.read_text().count(_STANDING_BY) == before:  # noqa: ASYNC110 - a file
        await asyncio.sleep(0.01)
    await old.terminate()


async def _started_anew(old: AgentProcess, new: AgentProcess) -> None:
    await old.terminate()
    await new.start()


async def changes() -> AsyncIterator[Figure]:
    """From the kernel's event to the new list in the kubelet's hands."""
    seconds = []
    async with open_node(custom_section()) as node:
        await node.agent.start()
        await node.listed(CUSTOM, 4)
        device = node.agent.host_root / "dev/bench0"
        for _ in range(_CHANGES // 2):
            for change, count in ((device.unlink, 3), (device.touch, 4)):
                await asyncio.sleep(0.05)
                started = time.monotonic()
                change()
                seconds.append(await node.listed(CUSTOM, count) - started)
    yield Figure("kernel event to new list (inotify), p50", _ms(seconds, 50), "ms")
    yield Figure("kernel event to new list (inotify), p99", _ms(seconds, 99), "ms", 50)


async def hot_plug() -> AsyncIterator[Figure]:
    """Measure the same with a true device: zram, where this kernel has it and lets us."""
    control = Path("/sys/class/zram-control")
    if os.geteuid() or not control.exists():
        return
    seconds = []
    devices = [{"path": "/dev/zram*"}]
    section = {"custom": {"resources": [{"name": CUSTOM, "devices": devices}]}}
    async with open_node(section) as node:
        node.agent.use_real_host()
        await node.agent.start()
        await node.kubelet.until(lambda: node.kubelet.capacity(CUSTOM) is not None)
        present = len(list(Path("/dev").glob("zram*")))
        for _ in range(_CHANGES // 4):
            started = time.monotonic()
            number = await asyncio.to_thread((control / "hot_add").read_text)
            seconds.append(await node.listed(CUSTOM, present + 1) - started)
            started = time.monotonic()
            await asyncio.to_thread((control / "hot_remove").write_text, number)
            seconds.append(await node.listed(CUSTOM, present) - started)
    yield Figure("kernel event to new list (zram), p99", _ms(seconds, 99), "ms", 50)


async def allocate() -> AsyncIterator[Figure]:
    """Allocate from one Python client, alone and while another backend's call hangs."""
    nodes = [{"path": f"/dev/{name}"} for name in ("null", "zero", "full", "random")]
    section = {"custom": {"resources": [{"name": CUSTOM, "devices": nodes}]}}
    async with open_node(section) as node:
        node.agent.use_real_host()
        await node.agent.start()
        await node.listed(CUSTOM, 4)
        device = min(node.kubelet.devices(CUSTOM))
        quiet = await asyncio.to_thread(allocate_repeatedly, node.sockets()[0], device)
        process = await asyncio.create_subprocess_exec(
            sys.executable, minimal_plugin.__file__, str(node.agent.plugin_dir)
        )
        await node.listed(minimal_plugin.RESOURCE, 4)
        target = f"unix:{node.agent.plugin_dir / 'minimal.sock'}"
        yardstick = await asyncio.to_thread(allocate_repeatedly, target, "d0")
        process.kill()
        await process.wait()
    beside = f"{_ms(quiet, 50) / _ms(yardstick, 50):.1f} x a minimal grpc.aio plugin"
    yield Figure("Allocate, p50", _ms(quiet, 50), "ms", 0.5, beside)
    yield Figure("Allocate, p99", _ms(quiet, 99), "ms", 2)


async def allocate_beside_a_hang() -> AsyncIterator[Figure]:
    """Allocate of one resource while a call for another one does not return."""
    async with open_node({"awkward": {}} | custom_section()) as node:
        node.set(hang=True)
        await node.agent.start()
        await node.listed(BOARD, 4)
        await node.listed(CUSTOM, 4)
        device = min(node.kubelet.devices(CUSTOM))
        hanging, serving = await asyncio.to_thread(find, node.sockets(), "awk-board-0", device)
        with grpc.insecure_channel(hanging) as channel:
            call = api_grpc.DevicePluginStub(channel).Allocate.future(request("awk-board-0"))
            seconds = await asyncio.to_thread(allocate_repeatedly, serving, device)
            assert not call.done()
    yield Figure("Allocate while another backend's call hangs, p99", _ms(seconds, 99), "ms", 2)


async def many_devices() -> AsyncIterator[Figure]:
    """Ten thousand devices of one resource."""
    async with open_node({"awkward": {}}) as node:
        await node.agent.start()
        await node.listed(BOARD, 4)
        before = node.memory()
        node.set(extra=_MANY)
        listed = await node.listed(EXTRA, _MANY)
        registered = node.kubelet.journal.of("register", EXTRA)[-1].at
        grown = node.memory() - before
        seconds = []
        for number in range(10):
            await asyncio.sleep(0.2)
            started = time.monotonic()
            node.set(extra=_MANY, sick=tuple(f"awk-extra-{n}" for n in range(number + 1)))
            seconds.append(await node.listed(EXTRA, _MANY - number - 1) - started)
    yield Figure(
        "10,000 devices: registration to first list", _scaled(listed - registered), "ms", 100
    )
    yield Figure("10,000 devices: event to changed list, median", _ms(seconds, 50), "ms", 50)
    yield Figure("10,000 devices: memory", grown, "MiB", 20)


async def idle() -> AsyncIterator[Figure]:
    """Measure what an agent costs that has nothing to do."""
    async with open_node(custom_section()) as node:
        await node.agent.start()
        await node.listed(CUSTOM, 4)
        await asyncio.sleep(3)
        share = await cpu_share(node.agent.pid, _IDLE_SECONDS)
    yield Figure("idle, share of a core", share, "%", 0.2)


def _ms(seconds: list[float], percent: int) -> float:
    return _scaled(percentile(seconds, percent))


def _scaled(seconds: float) -> float:
    return 1000 * seconds


ALL = (
    start_and_memory,
    kubelet_restarts,
    handovers,
    changes,
    hot_plug,
    allocate,
    allocate_beside_a_hang,
    many_devices,
    scrapes,
    preferred_allocation,
    idle,
    everything_on,
    all_backends,
    memory_limit,
)
