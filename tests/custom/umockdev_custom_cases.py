"""A stick and a set of cameras, plugged, replugged and renamed, down to the kubelet.

Run by test_custom_umockdev.py within umockdev-wrapper, where /sys and /dev are a test's own.
"""

import asyncio
import ctypes
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest

from nodeplug.host.host import open_host
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node
from nodeplug.testing import Kubelet
from nodeplug_custom.plugin import SPEC
from nodeplug_custom.settings import CustomSettings
from support.timed import on_this_machine, timed

STICK, CAMERA = "example.com/stick", "example.com/camera"
SETTINGS = {
    "reconcileSeconds": 0,
    "resources": [
        {"name": STICK, "hardware": [{"usb": {"vendor": "0781"}}]},
        {
            "name": CAMERA,
            "hardware": [
                {
                    "usb": {"vendor": "046d"},
                    "udev": {"subsystem": "video4linux"},
                    "group": "parent",
                    "members": [{"udev": {"subsystem": "sound"}}],
                }
            ],
        },
    ],
}
USB1 = "/devices/pci0000:00/0000:00:14.0/usb1"
# What the machine is busy with beside the test must not decide about it.
PROMISE_SECONDS = 0.050


def usb(port: str, ids: str, serial: str, number: int) -> str:
    vendor, product = ids.split(":")
    return f"""
P: {USB1}/{port}
N: bus/usb/001/{number:03}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
E: DEVNAME=/dev/bus/usb/001/{number:03}
E: MAJOR=189
E: MINOR={number}
A: idVendor={vendor}\\n
A: idProduct={product}\\n
A: bDeviceClass=00\\n
A: serial={serial}\\n
A: busnum=1\\n
A: devnum={number}\\n
"""


def node(port: str, subsystem: str, name: str, minor: int) -> str:
    return f"""
P: {USB1}/{port}/{port}:1.0/{subsystem}/{name}
N: {name}
E: SUBSYSTEM={subsystem}
E: DEVNAME=/dev/{name}
E: MAJOR=81
E: MINOR={minor}
A: dev=81:{minor}\\n
"""


class Machine:
    """A machine of umockdev's, with a kubelet and an agent."""

    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self._library = ctypes.CDLL("libumockdev.so.0")
        self._library.umockdev_testbed_new.restype = ctypes.c_void_p
        self._bed = ctypes.c_void_p(self._library.umockdev_testbed_new())

    def add(self, *descriptions: str) -> None:
        for description in descriptions:
            text, error = description.lstrip().encode(), ctypes.c_void_p()
            add = self._library.umockdev_testbed_add_from_string
            assert add(self._bed, text, ctypes.byref(error))

    def remove(self, *devpaths: str) -> None:
        """Pull devices out, leaves first."""
        for devpath in devpaths:
            path = f"/sys{USB1}/{devpath}".encode()
            self._library.umockdev_testbed_uevent(self._bed, path, b"remove")
            self._library.umockdev_testbed_remove_device(self._bed, path)

    def close(self) -> None:
        ctypes.CDLL("libgobject-2.0.so.0").g_object_unref(self._bed)

    async def shows(self, resource: str, **healths: str) -> None:
        wanted = {name.replace("_", "-"): health for name, health in healths.items()}
        await self.kubelet.until(lambda: self.kubelet.devices(resource) == wanted)


@pytest.fixture(name="folder")
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="npu", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@asynccontextmanager
async def machine(folder: Path) -> AsyncIterator[Machine]:
    (folder / "dp").mkdir()
    settings = msgspec.convert(SETTINGS, CustomSettings)
    async with Kubelet(folder / "dp", pod_resources=folder / "pr.sock") as kubelet:
        play = Machine(kubelet)
        host = open_host("/", "kernel")
        directories = folder / "dp", folder / "pr.sock"
        agent = Agent([ConfiguredBackend(SPEC, settings)], host, Node(*directories))
        task = asyncio.create_task(agent.run())
        try:
            await kubelet.until(lambda: kubelet.capacity(CAMERA) is not None)
            yield play
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            play.close()


async def test_a_stick_keeps_its_id_over_ports(folder: Path) -> None:
    """Unhealthy while it is out."""
    async with machine(folder) as play:
        play.add(usb("1-2", "0781:5567", "S1", 12))
        await play.shows(STICK, usb_0781_5567_S1="Healthy")
        play.remove("1-2")
        await play.shows(STICK, usb_0781_5567_S1="Unhealthy")
        play.add(usb("1-3", "0781:5567", "S1", 13))
        await play.shows(STICK, usb_0781_5567_S1="Healthy")


async def test_a_camera_with_its_sound_keeps_its_id_under_new_names(folder: Path) -> None:
    """The kernel numbers nodes anew; a camera without its sound is not complete."""
    async with machine(folder) as play:
        play.add(usb("1-2", "046d:0825", "C1", 12), node("1-2", "video4linux", "video0", 0))
        await play.shows(CAMERA, usb_046d_0825_C1="Unhealthy")
        play.add(node("1-2", "sound", "controlC1", 1))
        await play.shows(CAMERA, usb_046d_0825_C1="Healthy")
        below = "1-2/1-2:1.0"
        play.remove(f"{below}/sound/controlC1", f"{below}/video4linux/video0", "1-2")
        await play.shows(CAMERA, usb_046d_0825_C1="Unhealthy")
        play.add(usb("1-4", "046d:0825", "C1", 14))
        play.add(node("1-4", "video4linux", "video7", 7), node("1-4", "sound", "controlC3", 3))
        await play.shows(CAMERA, usb_046d_0825_C1="Healthy")


@timed
async def test_each_change_is_at_the_kubelet_within_the_promise(folder: Path) -> None:
    """Plugged and pulled twenty times; the slowest but one counts."""
    async with machine(folder) as play:
        play.add(usb("1-2", "0781:5567", "S1", 12))
        await play.shows(STICK, usb_0781_5567_S1="Healthy")
        seconds = []
        for number in range(13, 33):
            started = time.monotonic()
            play.remove("1-2")
            await play.shows(STICK, usb_0781_5567_S1="Unhealthy")
            seconds.append(time.monotonic() - started)
            started = time.monotonic()
            play.add(usb("1-2", "0781:5567", "S1", number))
            await play.shows(STICK, usb_0781_5567_S1="Healthy")
            seconds.append(time.monotonic() - started)
        print("seconds", sorted(seconds)[len(seconds) // 2], sorted(seconds)[-2])  # noqa: T201
        assert sorted(seconds)[len(seconds) // 2] < on_this_machine(PROMISE_SECONDS)
