"""The USB devices of the host."""

from dataclasses import dataclass

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_at, numa_nodes, read_int, read_text


@dataclass(frozen=True, slots=True)
class UsbDevice:
    """One USB device (not an interface of one), as sysfs shows it.

    `port` tells where it is plugged in, "1-2.3" or "usb1" for a root hub, and stays over a replug;
    `devnum` does not. `vid` and `pid` are four lower-case hexadecimal digits, `device_class` two
    ("09" is a hub). `serial` comes from the device: it may be None, anything, or not unique.
    """

    port: str
    devpath: str
    vid: str
    pid: str
    device_class: str
    serial: str | None
    busnum: int
    devnum: int
    numa: tuple[int, ...]

    @property
    def node(self) -> str:
        """The host path of the device's node."""
        return f"/dev/bus/usb/{self.busnum:03}/{self.devnum:03}"


def usb_devices(root: HostRoot) -> list[UsbDevice]:
    """Return all USB devices by port; one that goes while it is read is left out."""
    try:
        ports = sorted(each.name for each in (root.sys / "bus/usb/devices").iterdir())
    except OSError:
        return []
    found = (usb_device(root, port) for port in ports if ":" not in port)
    return [device for device in found if device is not None]


def usb_device(root: HostRoot, port: str) -> UsbDevice | None:
    """Return the USB device at a port, or None where there is none."""
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
    serial = read_text(place / "serial") or None
    return UsbDevice(
        port, devpath, vid, pid, device_class, serial, busnum, devnum, numa_nodes(place)
    )
