"""Claims about hot-plugged hardware that umockdev feigns, below the kernel's interfaces.

Run by test_umockdev.py within umockdev-wrapper, where /sys and /dev are a test's own.
"""

import ctypes
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nodeplug.host.kernel_uevents import KernelUevents, _NetlinkReader
from nodeplug.host.nodes import node_type
from nodeplug.host.root import HostRoot
from nodeplug.host.uevent_hub import UeventHub
from nodeplug.host.uevents import Resync, Uevent
from nodeplug.host.usb import UsbDevice, usb_device, usb_serial

DEVPATH = "/devices/pci0000:00/0000:00:01.0/usb1/1-2"
STICK = rf"""P: {DEVPATH}
N: bus/usb/001/012
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
E: DEVNAME=bus/usb/001/012
E: MAJOR=189
E: MINOR=11
A: idVendor=046d\n
A: idProduct=0825\n
A: bDeviceClass=ef\n
A: serial=A1B2\n
A: busnum=1\n
A: devnum=12\n
"""


class Machine:
    """A machine of umockdev's, whose hardware comes and goes as told."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libumockdev.so.0")
        self._library.umockdev_testbed_new.restype = ctypes.c_void_p
        self._bed = ctypes.c_void_p(self._library.umockdev_testbed_new())

    def add(self, description: str) -> None:
        """Plug a device in: its files, its node and the kernel's event."""
        text, error = description.encode(), ctypes.c_void_p()
        added = self._library.umockdev_testbed_add_from_string(self._bed, text, ctypes.byref(error))
        assert added

    def uevent(self, devpath: str, action: str) -> None:
        """Send an event of a device."""
        path = f"/sys{devpath}".encode()
        self._library.umockdev_testbed_uevent(self._bed, path, action.encode())

    def remove(self, devpath: str) -> None:
        """Pull a device out: the kernel's event, then its files."""
        self.uevent(devpath, "remove")
        self._library.umockdev_testbed_remove_device(self._bed, f"/sys{devpath}".encode())

    def close(self) -> None:
        """Give the true machine back."""
        ctypes.CDLL("libgobject-2.0.so.0").g_object_unref(self._bed)


@pytest.fixture
def bed() -> Iterator[Machine]:
    bed = Machine()
    yield bed
    bed.close()


async def open_netlink() -> _NetlinkReader:
    return _NetlinkReader()


@pytest.fixture
async def events(bed: Machine) -> AsyncIterator[AsyncIterator[Uevent | Resync]]:
    """Listen through pyudev, as the agent does."""
    assert bed
    async with KernelUevents().subscribe({"usb"}) as events:
        yield events


async def following(events: AsyncIterator[Uevent | Resync]) -> tuple[str, str, str]:
    """Return action, device and node of the next event."""
    event = await anext(events)
    assert isinstance(event, Uevent)
    return event.action, event.devpath, event.devname


async def test_a_plugged_stick_is_told(bed: Machine, events: AsyncIterator[Uevent]) -> None:
    """The event names the device and its node."""
    bed.add(STICK)
    assert await following(events) == ("add", DEVPATH, "/dev/bus/usb/001/012")


async def test_a_changed_stick_is_told(bed: Machine, events: AsyncIterator[Uevent]) -> None:
    """A change after the plugging is told as one."""
    bed.add(STICK)
    await following(events)
    bed.uevent(DEVPATH, "change")
    assert (await following(events))[0] == "change"


async def test_a_pulled_stick_is_told(bed: Machine, events: AsyncIterator[Uevent]) -> None:
    """The removal is told, with the node that has gone."""
    bed.add(STICK)
    await following(events)
    bed.remove(DEVPATH)
    assert await following(events) == ("remove", DEVPATH, "/dev/bus/usb/001/012")


async def test_the_bare_socket_understands_libudevs_frames(bed: Machine) -> None:
    """Without pyudev, the same stick is told the same way."""
    async with UeventHub(open_netlink).subscribe({"usb"}) as events:
        bed.add(STICK)
        assert await following(events) == ("add", DEVPATH, "/dev/bus/usb/001/012")


def stick() -> UsbDevice:
    found = usb_device(HostRoot(), "1-2")
    assert found is not None
    return found


def test_a_plugged_stick_is_enumerated(bed: Machine) -> None:
    """What the kernel shows of a stick is what a backend reads."""
    bed.add(STICK)
    found = stick()
    told = (found.port, found.vid, found.pid, usb_serial(HostRoot(), found))
    assert told == ("1-2", "046d", "0825", "A1B2")


def test_a_sticks_node_is_where_the_device_says(bed: Machine) -> None:
    """The path made from the bus and device numbers leads to a character device."""
    bed.add(STICK)
    assert node_type(Path(stick().node)) == "char"
