"""Small typed readers of the kernel's attribute files."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import refuse_shortage

# One attribute is at most a page (kernel, Documentation/filesystems/sysfs.rst).
_ATTRIBUTE_LIMIT = 4096
# The kernel prints no number of more bits.
_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1


def read_text(path: Path | str) -> str | None:
    """Return an attribute, at most 4 KiB of it, without white space and zeros around it.

    None where it is missing or the device does not answer (EIO, ENODEV and the like). As all
    readers here it raises ShortageError where nothing can be opened.
    """
    try:
        return attribute(path)
    except (OSError, ValueError):
        return None


def attribute(path: Path | str) -> str:
    """Return an attribute as `read_text` does; raise OSError where there is none.

    ValueError is raised for what is no path.
    """
    return _read(path, _ATTRIBUTE_LIMIT).decode(errors="replace").strip(" \t\r\n\0")


def read_bytes(path: Path | str, size: int) -> bytes | None:
    """Return the beginning of an attribute; None as for `read_text`."""
    try:
        return _read(path, size)
    except (OSError, ValueError):
        return None


def read_int(path: Path | str) -> int | None:
    """Return an attribute that is a decimal number or a hexadecimal one after "0x", else None.

    What 64 bits do not hold is no number.
    """
    text = read_text(path)
    try:
        number = 0 if text is None else int(text, 16 if text.lower().startswith("0x") else 10)
    except ValueError:
        return None
    return None if text is None or not _LOWEST <= number <= _HIGHEST else number


def link_name(path: Path | str) -> str | None:
    """Return the last step of a symbolic link, as of "driver" or "subsystem", or None."""
    try:
        return os.readlink(path).rpartition("/")[2]  # noqa: PTH115 - far quicker
    except (OSError, ValueError):
        return None


def names_in(folder: Path | str) -> list[str]:
    """Return the names in a folder, in order; none where it cannot be read."""
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - far quicker
    except (OSError, ValueError) as error:
        refuse_shortage(error)
        return []


def numa_nodes(device: Path) -> tuple[int, ...]:
    """Return the NUMA node of a device, or of the nearest above it that has one.

    `device` is its true folder, below sys/devices. Empty where the kernel knows none (-1).
    """
    for place in chain((device,), device.parents):
        if place.name == "devices":
            break
        node = read_int(f"{place}/numa_node")
        if node is not None:
            return (node,) if node >= 0 else ()
    return ()


def ancestors(devpath: str) -> Iterator[str]:
    """Yield the devpaths above a device, the nearest first; "/devices" is not one of them."""
    while (devpath := devpath.rpartition("/")[0]).count("/") > 1:
        yield devpath


def device_at(root: HostRoot, host_path: str) -> str | None:
    """Return the devpath that a link or folder below the host's /sys leads to, or None."""
    try:
        found = root.resolve(host_path)
    except OSError:
        return None
    if not found.startswith("/sys/devices/") or not os.path.isdir(root.path(found)):  # noqa: PTH112 - for any text
        return None
    return found.removeprefix("/sys")


def device_of_node(root: HostRoot, kind: str, major: int, minor: int) -> str | None:
    """Return the devpath of a "char" or "block" node by its numbers, or None."""
    return device_at(root, f"/sys/dev/{kind}/{major}:{minor}")


def _read(path: Path | str, size: int) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        refuse_shortage(error)
        raise
    try:
        return os.read(fd, size)
    finally:
        os.close(fd)
