"""Which devices of an inventory cannot be in use at the same time."""

from collections.abc import Iterable
from itertools import combinations

from nodeplug.host.hardware import Hardware
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.hardware import EXCLUSIVE, Uses, meet


def uses(device: Device) -> Uses:
    """Return what a device says, and its other nodes, which are alone."""
    nodes = (f"path {node.host_path}" for node in device.edits.nodes)
    return {**dict.fromkeys(nodes, EXCLUSIVE), **device.hardware}


def clash(one: Device, other: Device) -> bool:
    return _meet(uses(one), uses(other))


def clashes(devices: Iterable[Device], root: HostRoot | None = None) -> set[tuple[str, str]]:
    """Return the ids of pairs that cannot both be given, in order: as core sees them on a host.

    Without one, by what they say alone.
    """
    found = {each.id: _seen(each, root) for each in devices}
    pairs = combinations(sorted(found), 2)
    return {(a, b) for a, b in pairs if _meet(found[a], found[b])}


def _seen(device: Device, root: HostRoot | None) -> Uses:
    if root is None:
        return uses(device)
    hardware = Hardware(root)
    nodes = (node.host_path for node in device.edits.nodes)
    return hardware.expanded(hardware.roots(nodes, device.hardware))


def _meet(mine: Uses, theirs: Uses) -> bool:
    return any(meet(mine[key], theirs[key]) for key in mine.keys() & theirs.keys())
