"""Devices of the running kernel, from its event to the kubelet's list."""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from nodeplug.host.host import open_host
from nodeplug.offers import OfferRule
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.testing import Kubelet, Pod
from nodeplug_custom.plugin import SPEC
from support.needs import require
from support.timed import on_this_machine, timed

RESOURCE = "example.com/device"
HOT_ADD = Path("/sys/class/zram-control/hot_add")
HOT_REMOVE = Path("/sys/class/zram-control/hot_remove")
ROUNDS = 30


@asynccontextmanager
async def serving(
    *globs: str,
    rules: Rules | None = None,
    hardware: Sequence[object] = (),
    reconcile: float = 0,
) -> AsyncGenerator[Kubelet, None]:
    """Serve devices of the true host, without any polling unless asked to."""
    devices = [{"path": glob} for glob in globs]
    resource = {"name": RESOURCE, "devices": devices, "hardware": list(hardware)}
    section = {"resources": [resource], "reconcileSeconds": reconcile}
    settings = msgspec.convert(section, SPEC.settings)
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    backend = ConfiguredBackend(SPEC, settings)
    node = Node(folder, folder / "pr.sock", rules or Rules())
    agent = Agent([backend], open_host(), node)
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


@timed
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
    assert statistics.quantiles(delays, n=100)[98] < on_this_machine(0.050)


async def _until_health(kubelet: Kubelet, name: str, health: str) -> float:
    await kubelet.until(
        lambda: any(
            device_id.endswith(name) and found == health
            for device_id, found in kubelet.devices(RESOURCE).items()
        )
    )
    return kubelet.journal.of("list", RESOURCE)[-1].at


async def test_fuse_is_shared_by_fifty_pods() -> None:
    """R23: each has an id of its own, all have the same node."""
    require(Path("/dev/fuse").exists(), "this kernel has no /dev/fuse")
    rules = Rules([OfferRule(resource=RESOURCE, replicas=50)])
    async with serving("/dev/fuse", rules=rules) as kubelet:
        await kubelet.until(lambda: len(kubelet.devices(RESOURCE)) == 50)
        runs = [await kubelet.admit(Pod.of({RESOURCE: 1})) for _ in range(50)]
        assert {run["c0"].devices["/dev/fuse"].permissions for run in runs} == {"rw"}
        assert len(kubelet.held(RESOURCE)) == 50


async def test_loop_devices_and_terminals_are_picked_by_what_they_are() -> None:
    """Of the true /sys, by subsystem and name."""
    require(Path("/sys/class/tty/tty").exists(), "this kernel has no /dev/tty")
    loops = [{"udev": {"subsystem": "block", "sysname": "loop*"}}]
    async with serving(hardware=loops) as kubelet:
        present = {path.name for path in Path("/sys/block").glob("loop*")}
        await kubelet.until(
            lambda: {i.removeprefix("udev-") for i in kubelet.devices(RESOURCE)} == present
        )
    async with serving(hardware=[{"udev": {"subsystem": "tty", "sysname": "tty"}}]) as kubelet:
        runs = await kubelet.admit(Pod.of({RESOURCE: 1}))
        assert [*runs["c0"].devices] == ["/dev/tty"]


async def test_a_disk_that_is_set_read_only_is_seen_at_the_next_look() -> None:
    """Row C19: the kernel tells of it by no event; nothing but the configured looks finds it."""
    require(Path("/dev/loop7").exists() and os.geteuid() == 0, "this host has no /dev/loop7")
    loop = {
        "udev": {"subsystem": "block", "sysname": "loop7"},
        "health": {"attributes": {"ro": "0"}},
    }
    async with serving(hardware=[loop], reconcile=0.2) as kubelet:
        await _until_health(kubelet, "loop7", "Healthy")
        for option, health in (("--setro", "Unhealthy"), ("--setrw", "Healthy")):
            await asyncio.to_thread(subprocess.run, ["blockdev", option, "/dev/loop7"], check=True)
            await _until_health(kubelet, "loop7", health)


def test_an_unprivileged_process_serves_what_root_serves(tmp_path: Path) -> None:
    """As in a container without capabilities, of another user: nodes are never opened."""
    require(os.geteuid() == 0 and shutil.which("setpriv") is not None, "setpriv needs root")
    config = tmp_path / "c.yaml"
    resources = [
        {"name": "example.com/path", "devices": [{"path": "/dev/null"}]},
        {"name": "example.com/kind", "hardware": [{"udev": {"subsystem": "mem"}}]},
    ]
    config.write_text(json.dumps({"backends": {"custom": {"resources": resources}}}))
    for folder in (config, tmp_path, *tmp_path.parents):
        if folder.is_relative_to("/tmp/pytest-of-root"):
            folder.chmod(0o755)
    ask = (sys.executable, "-m", "nodeplug", "devices", "--backend", "custom")
    command = (*ask, "--config", str(config), "--output", "json")
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
    powerless = (*nobody, "--bounding-set=-all", "--inh-caps=-all")
    probe = subprocess.run((*powerless, *ask[:2], "nodeplug", "--version"), check=False)
    require(probe.returncode == 0, "nobody may run this Python")
    shown = [
        json.loads(subprocess.run(run, capture_output=True, check=True).stdout)
        for run in (command, (*powerless, *command))
    ]
    assert shown[0] == shown[1]
    assert {device["health"] for device in shown[1]} == {"Healthy"}
