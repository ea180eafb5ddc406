"""Devices of the running kernel, from its event to the kubelet's list."""

import asyncio
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from nodeplug.host.host import open_host
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node
from nodeplug.testing import Kubelet, Pod
from nodeplug_custom.plugin import SPEC
from support.needs import require

RESOURCE = "example.com/device"
HOT_ADD = Path("/sys/class/zram-control/hot_add")
HOT_REMOVE = Path("/sys/class/zram-control/hot_remove")
ROUNDS = 30


@asynccontextmanager
async def serving(*globs: str) -> AsyncGenerator[Kubelet, None]:
    """Serve devices of the true host, without any polling."""
    devices = [{"path": glob} for glob in globs]
    section = {"resources": [{"name": RESOURCE, "devices": devices}], "reconcileSeconds": 0}
    settings = msgspec.convert(section, SPEC.settings)
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    backend = ConfiguredBackend(SPEC, settings)
    agent = Agent([backend], open_host(), Node(folder, folder / "pr.sock"))
    try:
        async with Kubelet(folder, pod_resources=folder / "pr.sock") as kubelet:
            task = asyncio.create_task(agent.run())
            await kubelet.until(lambda: kubelet.capacity(RESOURCE) is not None)
            yield kubelet
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    finally:
        shutil.rmtree(folder)


async def test_nodes_that_every_linux_has_are_served_and_allocated() -> None:
    """/dev/null and /dev/zero are as good as any device."""
    async with serving("/dev/null", "/dev/zero") as kubelet:
        runs = await kubelet.admit(Pod.of({RESOURCE: 2}))
        assert set(runs["c0"].devices) == {"/dev/null", "/dev/zero"}


async def test_fuse_is_served() -> None:
    """The device that most users of a generic plugin want first."""
    require(Path("/dev/fuse").exists(), "this kernel has no /dev/fuse")
    async with serving("/dev/fuse") as kubelet:
        runs = await kubelet.admit(Pod.of({RESOURCE: 1}))
        assert runs["c0"].devices["/dev/fuse"].permissions == "rw"


async def test_hot_plug_is_at_the_kubelet_within_the_promise() -> None:
    """50 ms at the 99th percentile from the kernel's event to the list, polling off."""
    require(os.access(HOT_ADD, os.R_OK) and os.geteuid() == 0, "zram cannot be hot-added here")
    delays: list[float] = []
    async with serving("/dev/zram*") as kubelet:
        for _ in range(ROUNDS):
            started = time.monotonic()
            number = await asyncio.to_thread(HOT_ADD.read_text)
            name = f"zram{number.strip()}"
            delays.append(await _until_health(kubelet, name, "Healthy") - started)
            started = time.monotonic()
            await asyncio.to_thread(HOT_REMOVE.write_text, number)
            delays.append(await _until_health(kubelet, name, "Unhealthy") - started)
    assert statistics.quantiles(delays, n=100)[98] < 0.050


async def _until_health(kubelet: Kubelet, name: str, health: str) -> float:
    await kubelet.until(
        lambda: any(
            device_id.endswith(name) and found == health
            for device_id, found in kubelet.devices(RESOURCE).items()
        )
    )
    return kubelet.journal.of("list", RESOURCE)[-1].at
