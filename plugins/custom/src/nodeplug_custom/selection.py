"""What the configuration selects on the host, without yet saying what it is worth."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, NamedTuple

from nodeplug.host.nodes import NodeType, node_type
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_of_node, numa_nodes
from nodeplug_custom.globs import Glob, Place, place_of, resolve
from nodeplug_custom.patience import Patience
from nodeplug_custom.regexes import Regex
from nodeplug_custom.settings import CustomSettings, DeviceSettings, ResourceSettings

_IN_MEMORY: Final = ("/dev/", "/sys/", "/proc/")


@dataclass(frozen=True, slots=True)
class Entry:
    """One element of a resource's `devices`, ready to match."""

    resource: ResourceSettings
    device: DeviceSettings
    glob: Glob | Regex

    @property
    def pattern(self) -> str:
        """What the configuration says of it."""
        return self.device.path or self.device.regex


@dataclass(frozen=True, slots=True)
class Sighting:
    """A path of the host that an entry selects, and what was seen there.

    `real` is the path with its links followed; `kind` is None where nothing is. `number` is that
    of a device node, else 0; `numa_nodes` are those of its hardware.
    """

    path: str
    real: str
    kind: NodeType | None
    number: int = 0
    numa_nodes: tuple[int, ...] = ()


class Found(NamedTuple):
    """What one entry selects, and where a change would matter."""

    sightings: tuple[Sighting, ...] = ()
    places: tuple[Place, ...] = ()


@dataclass(frozen=True, slots=True)
class Overlap:
    """A path that is no device, for another path or entry has the same node already."""

    path: str
    pattern: str
    served_as: str
    served_by: str


@dataclass(frozen=True, slots=True)
class View:
    """All that was selected at a moment: sightings by path, and where a change would matter."""

    sightings: dict[str, Sighting] = field(default_factory=dict)
    overlaps: set[Overlap] = field(default_factory=set)
    places: set[Place] = field(default_factory=set)


class Selection:
    """The entries of a configuration, in its order."""

    def __init__(self, settings: CustomSettings, patience: Patience[Found] | None = None) -> None:
        self._patience = patience or Patience[Found]()
        self._numa: dict[tuple[str, int], tuple[int, ...]] = {}
        self._entries = [
            Entry(resource, device, device.pattern)
            for resource in settings.resources
            for device in resource.devices
        ]

    def entry(self, path: str) -> Entry | None:
        """Return the entry that selects a path, existing or not: the first that matches."""
        return next((each for each in self._entries if each.glob.matches(path)), None)

    def look(self, root: HostRoot) -> View:
        """Return what is there now. Blocks; needs no right but to search the directories."""
        view = View()
        owners: dict[str, tuple[str, str]] = {}
        known, self._numa = self._numa, {}
        for entry in self._entries:
            found = self._find(entry, root)
            view.places.update(found.places)
            for seen in found.sightings:
                path = seen.path
                here = (path, entry.pattern)
                owner = owners.setdefault(seen.real, here)
                if owner is here:
                    view.sightings[path] = self._placed(root, seen, known)
                else:
                    view.overlaps.add(Overlap(*here, *owner))
        return view

    def _placed(
        self, root: HostRoot, seen: Sighting, known: Mapping[tuple[str, int], tuple[int, ...]]
    ) -> Sighting:
        # A device keeps its place as long as it is there, and sysfs takes its time.
        if not seen.number:
            return seen
        key = seen.real, seen.number
        nodes = self._numa[key] = known[key] if key in known else _numa_nodes(root, seen)
        return replace(seen, numa_nodes=nodes) if nodes else seen

    def _find(self, entry: Entry, root: HostRoot) -> Found:
        # What the kernel has in memory does not hang, and a thread takes its time, too.
        if entry.pattern.startswith(_IN_MEMORY):
            return _find(entry, root)
        return self._patience.result(entry.pattern, partial(_find, entry, root)) or Found()


def _find(entry: Entry, root: HostRoot) -> Found:
    paths, places = entry.glob.find(root)
    sightings = tuple(_see(root, path) for path in paths)
    links = (place_of(seen.real) for seen in sightings if seen.real != seen.path)
    return Found(sightings, (*places, *links))


def _see(root: HostRoot, path: str) -> Sighting:
    real = resolve(root, path)
    there = root.path(real)
    kind, number = node_type(there), 0
    if kind in {"char", "block"}:
        with suppress(OSError):
            number = there.stat().st_rdev
    return Sighting(path, real, kind, number)


def _numa_nodes(root: HostRoot, seen: Sighting) -> tuple[int, ...]:
    major, minor = os.major(seen.number), os.minor(seen.number)
    devpath = device_of_node(root, str(seen.kind), major, minor)
    return numa_nodes(root.path(f"/sys{devpath}")) if devpath else ()
