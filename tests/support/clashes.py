"""Which devices of an inventory cannot be in use at the same time."""

from collections.abc import Iterable
from itertools import combinations

from nodeplug.values.device import Device
from nodeplug.values.hardware import EXCLUSIVE, HardwareKey, Use, meet


def uses(device: Device) -> dict[HardwareKey, Use]:
    """Return what a device says, and its other nodes, which are alone."""
    nodes = (f"path {node.host_path}" for node in device.edits.nodes)
    return {**dict.fromkeys(nodes, EXCLUSIVE), **device.hardware}


def clash(one: Device, other: Device) -> bool:
    mine, theirs = uses(one), uses(other)
    return any(meet(mine[key], theirs[key]) for key in mine.keys() & theirs.keys())


def clashes(devices: Iterable[Device]) -> set[tuple[str, str]]:
    """Return the ids of pairs that cannot both be given, in order."""
    ordered = sorted(devices, key=lambda each: each.id)
    return {(a.id, b.id) for a, b in combinations(ordered, 2) if clash(a, b)}
