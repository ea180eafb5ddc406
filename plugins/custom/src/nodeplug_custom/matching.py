"""Whether the kernel's devices are those that the configuration means."""

from collections.abc import Iterator, Mapping
from zlib import crc32

import msgspec

from nodeplug.host.root import HostRoot
from nodeplug_custom.buses import Buses
from nodeplug_custom.kernel_devices import KernelDevice, devices_below
from nodeplug_custom.matches import HardwareSettings, UdevMatch, Wanted, satisfies


def key_of(wanted: msgspec.Struct) -> str:
    """Return what tells questions for one part of the configuration from those for another."""
    return f"{crc32(msgspec.json.encode(wanted)):08x}"


def sources_of(buses: Buses, wanted: UdevMatch) -> Iterator[KernelDevice]:
    """Yield the devices among which there are those that match."""
    names = (wanted.subsystem,) if isinstance(wanted.subsystem, str) else wanted.subsystem
    plain = all(name and not set("*?[!") & set(name) for name in names)
    sources = names if plain else ("",)
    return (each for source in sources for each in buses.of(source))


def is_udev(device: KernelDevice, wanted: UdevMatch) -> bool:
    """Return whether a device matches by itself and what is above it. Blocks."""
    pairs = (
        (wanted.subsystem, device.subsystem),
        (wanted.sysname, device.sysname),
        (wanted.devtype, device.said.get("DEVTYPE") if wanted.devtype else None),
    )
    return (
        all(satisfies(globs, value) for globs, value in pairs)
        and frozenset(wanted.tags) <= (device.tags if wanted.tags else frozenset())
        and all(satisfies(w, device.properties.get(n)) for n, w in wanted.properties.items())
        and has_attributes(device, wanted.attributes)
        and _has_parent(device, wanted)
        and (not wanted.driver or satisfies(wanted.driver, driver_of(device)))
    )


def has_attributes(device: KernelDevice, attributes: Mapping[str, Wanted]) -> bool:
    """Return whether files below a device say what is wanted. Blocks."""
    return all(satisfies(globs, device.attribute(name)) for name, globs in attributes.items())


def driver_of(device: KernelDevice) -> str | None:
    """Return the driver of a device or of the nearest one above it that has any."""
    chain = (device, *device.above())
    return next((each.driver for each in chain if each.driver), None)


def _has_parent(device: KernelDevice, wanted: UdevMatch) -> bool:
    if not wanted.parent_attributes:
        return True
    return any(has_attributes(above, wanted.parent_attributes) for above in device.above())


def members_of(root: HostRoot, devpath: str, wanted: HardwareSettings) -> tuple[str, list[str]]:
    """Return what is missing of the further members, or empty, and their nodes."""
    if not wanted.members:
        return "", []
    below = devices_below(root, devpath)
    nodes: list[str] = []
    for number, member in enumerate(wanted.members):
        found = [device.node for device in below if device.node and is_udev(device, member.udev)]
        if not found and not member.optional:
            return f"its member {number} is missing", nodes
        nodes += found
    return "", nodes
