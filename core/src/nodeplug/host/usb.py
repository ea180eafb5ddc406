"""The USB devices of the host."""

import msgspec

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_at, names_in, numa_nodes, read_int, read_text


class UsbDevice(msgspec.Struct, frozen=True):
    """One USB device (not an interface of one), as sysfs shows it.

    `port` tells where it is plugged in, "1-2.3" or "usb1" for a root hub, and stays over a replug;
    `devnum` does not. `vid` and `pid` are four lower-case hexadecimal digits, `device_class` two
    ("09" is a hub). `serial` comes from the device: it may be anything, or not unique; None where
    there is none, or it was not asked for.
    """

    port: str
    devpath: str
    vid: str
    pid: str
    device_class: str
    busnum: int
    devnum: int
    numa: tuple[int, ...]
    serial: str | None = None

    @property
    def node(self) -> str:
        """The host path of the device's node."""
        return f"/dev/bus/usb/{self.busnum:03}/{self.devnum:03}"


def usb_ports(root: HostRoot) -> list[str]:
    """Return where there are USB devices, in order."""
    return [port for port in names_in(root.sys / "bus/usb/devices") if ":" not in port]


def usb_device(root: HostRoot, port: str) -> UsbDevice | None:
    """Return the USB device at a port, without its serial number, or None where there is none.

    Reads nothing that waits for the device.
    """
    devpath = device_at(root, f"/sys/bus/usb/devices/{port}")
    if devpath is None:
        return None
    place = root.path(f"/sys{devpath}")
    vid, pid, device_class = (
        (read_text(place / name) or "").lower()
        for name in ("idVendor", "idProduct", "bDeviceClass")
    )
    busnum, devnum = read_int(place / "busnum"), read_int(place / "devnum")
    if not vid or busnum is None or devnum is None:
        return None
    return UsbDevice(port, devpath, vid, pid, device_class, busnum, devnum, numa_nodes(place))


def usb_serial(root: HostRoot, usb: UsbDevice) -> str:
    """Return the serial number of a USB device, empty where it has none.

    Blocks while the device does not answer: the kernel holds its lock meanwhile (Linux,
    drivers/usb/core/sysfs.c, usb_string_attr).
    """
    return read_text(root.path(f"/sys{usb.devpath}/serial")) or ""
