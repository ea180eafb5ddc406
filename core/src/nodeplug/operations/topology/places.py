"""The devices of a node as a tree of places."""

import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from nodeplug.offers import OfferedDevice
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.tree import Place, plant
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

_NO_NUMA = "numa "
_DIGITS = re.compile(r"(\d+)")


class Spot(msgspec.Struct, frozen=True):
    """A device, and the backend that found it."""

    backend: str
    device: Device


class Node(msgspec.Struct, frozen=True):
    """A place, a device, or both: a device with its parts."""

    label: str
    spot: Spot | None = None
    inner: Sequence["Node"] = ()


def spots_of(found: Mapping[str, Inventory]) -> list[Spot]:
    """Return all devices, in order of id."""
    spots = [Spot(name, each) for name, own in found.items() for each in own.devices.values()]
    return sorted(spots, key=lambda spot: (spot.device.id, spot.backend))


def tree_of(spots: Sequence[Spot]) -> list[Node]:
    """Return the NUMA nodes with what is in them; places that hold one place are one with it."""
    atlas = Atlas([OfferedDevice(spot.device.id, spot.device) for spot in spots], {})
    root = plant(atlas.paths, range(len(spots)), ())
    return [Node(_numa_label(place.name), None, _inner(place, spots)) for place in _ordered(root)]


def devices_in(nodes: Sequence[Node]) -> Iterator[Spot]:
    """Yield the devices of a tree from top to bottom."""
    for node in nodes:
        if node.spot is not None:
            yield node.spot
        yield from devices_in(node.inner)


def _inner(place: Place, spots: Sequence[Spot]) -> list[Node]:
    return [node for each in _ordered(place) for node in _nodes(each, spots)]


def _nodes(place: Place, spots: Sequence[Spot]) -> list[Node]:
    if not place.inner:
        return [Node(place.name, spots[position]) for position in place.free]
    inner = _inner(place, spots)
    own = next((each for each in inner if each.label == place.name and each.spot), None)
    if own is not None:
        return [Node(place.name, own.spot, [each for each in inner if each is not own])]
    if len(inner) == 1 and inner[0].spot is None:
        return [Node(f"{place.name} > {inner[0].label}", None, inner[0].inner)]
    return [Node(place.name, None, inner)]


def _ordered(place: Place) -> list[Place]:
    """Return the places in a place, numbers in their names by value."""
    parts = {name: _DIGITS.split(name) for name in place.inner}
    keys = {
        name: [int(part) if number % 2 else part for number, part in enumerate(split)]
        for name, split in parts.items()
    }
    return [place.inner[name] for name in sorted(place.inner, key=keys.__getitem__)]


def _numa_label(name: str) -> str:
    return "no NUMA node" if name == _NO_NUMA else f"NUMA node {name.removeprefix(_NO_NUMA)}"
