"""Devices as the kernel shows them below /sys, read when asked and kept for one look."""

import os
from collections.abc import Iterator

from nodeplug.host.identities import natural
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import ancestors, link_name, names_in, read_bytes, read_text
from nodeplug_custom.kept import Kept

# A device's folder holds its children. A disk behind a SAS expander lies nine steps below its
# function, and two more for each further expander.
_DEPTH = 32
# A disk with many paths has dozens of links, each of which has a line.
_DATABASE_LIMIT = 1 << 20


class KernelDevice:
    """One folder below /sys/devices. `devpath` is relative to /sys."""

    def __init__(self, root: HostRoot, devpath: str) -> None:
        self.devpath = devpath
        self._root = root
        self._folder = str(root.path(f"/sys{devpath}"))

    @property
    def sysname(self) -> str:
        """The last step of its path."""
        return self.devpath.rpartition("/")[2]

    @Kept
    def subsystem(self) -> str:
        """Its subsystem, or empty."""
        return link_name(f"{self._folder}/subsystem") or ""

    @Kept
    def driver(self) -> str | None:
        """Return the driver that is bound to it."""
        return link_name(f"{self._folder}/driver")

    @Kept
    def said(self) -> dict[str, str]:
        """Return what its uevent says."""
        lines = (read_text(f"{self._folder}/uevent") or "").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def properties(self) -> dict[str, str]:
        """What its uevent says, and udev's database where that can be seen."""
        return self.said | self._database[0]

    @property
    def tags(self) -> frozenset[str]:
        """The tags that udev's rules give it now."""
        return self._database[1]

    @property
    def node(self) -> str:
        """The host path of its node, or empty."""
        name = self.said.get("DEVNAME", "")
        if not name or ".." in name.split("/"):
            return ""
        return name if name.startswith("/dev/") else f"/dev/{name}"

    def attribute(self, name: str) -> str | None:
        """Return the content of a file, or the last step of a link, below its folder."""
        path = f"{self._folder}/{name}"
        return read_text(path) if os.path.isfile(path) else link_name(path)  # noqa: PTH113 - text

    def above(self) -> Iterator["KernelDevice"]:
        """Yield the devices above it, the nearest first."""
        for devpath in ancestors(self.devpath):
            if os.path.exists(self._root.path(f"/sys{devpath}/uevent")):  # noqa: PTH110 - likewise
                yield KernelDevice(self._root, devpath)

    @Kept
    def _database(self) -> tuple[dict[str, str], frozenset[str]]:
        # The form of these files is systemd's (sd-device); they are the only way to udev's
        # findings from within a container that has no udev.
        file = self._root.path(f"/run/udev/data/{self._key}")
        data = read_bytes(file, _DATABASE_LIMIT) if self._key else None
        lines = (data or b"").decode(errors="replace").splitlines()
        pairs = [
            line[2:].partition("=")[::2] for line in lines if line.startswith("E:") and "=" in line
        ]
        # systemd 247: "G:" stays for ever, "Q:" is current, and "V:" says that there is "Q:".
        mark = "Q:" if any(line.startswith("V:") for line in lines) else "G:"
        return dict(pairs), frozenset(line[2:] for line in lines if line.startswith(mark))

    @Kept
    def _key(self) -> str:
        number = read_text(f"{self._folder}/dev")
        if number:
            return f"{'b' if self.subsystem == 'block' else 'c'}{number}"
        return f"+{self.subsystem}:{self.sysname}" if self.subsystem else ""


def devices_of(root: HostRoot, subsystem: str) -> list[KernelDevice]:
    """Return all devices of a subsystem, by path; of every one with a node where it is empty."""
    folders = [f"class/{subsystem}", f"bus/{subsystem}/devices"] if subsystem else []
    found: set[str] = set()
    for folder in folders or ["dev/char", "dev/block"]:
        for name in names_in(str(root.sys / folder)):
            devpath = _devpath(root, f"{folder}/{name}")
            if devpath:
                found.add(devpath)
    return [KernelDevice(root, devpath) for devpath in sorted(found, key=natural)]


def devices_below(root: HostRoot, devpath: str) -> list[KernelDevice]:
    """Return the devices with nodes at and below a device, but not those of another device.

    Another PCI function or USB device below it is one of its own.
    """
    found = sorted(_with_nodes(root, devpath, _DEPTH), key=natural)
    return [KernelDevice(root, each) for each in found]


def _with_nodes(root: HostRoot, devpath: str, depth: int) -> Iterator[str]:
    folder = str(root.path(f"/sys{devpath}"))
    if os.path.exists(f"{folder}/dev"):  # noqa: PTH110 - likewise
        yield devpath
    for name in names_in(folder) if depth else ():
        child = f"{folder}/{name}"
        is_device = os.path.isdir(child) and not os.path.islink(child)  # noqa: PTH112, PTH114
        if is_device and not _is_another(child):
            yield from _with_nodes(root, f"{devpath}/{name}", depth - 1)


def _is_another(folder: str) -> bool:
    usb = os.path.exists(f"{folder}/idVendor")  # noqa: PTH110 - likewise
    return usb or link_name(f"{folder}/subsystem") == "pci"


def _devpath(root: HostRoot, place: str) -> str:
    # /sys/class/tty/x -> ../../devices/...: two or three steps up lead to /sys.
    try:
        target = os.readlink(root.sys / place)  # noqa: PTH115 - far quicker
    except OSError:
        return ""
    _, found, rest = target.partition("devices/")
    return f"/devices/{rest}" if found and ".." not in rest.split("/") else ""
