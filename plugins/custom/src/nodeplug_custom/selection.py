"""What the configuration selects on the host, without yet saying what it is worth."""

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from nodeplug.host.identities import Claim, Identities
from nodeplug.host.nodes import NodeType, Seen, see, see_unless_link
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_of_node, numa_nodes
from nodeplug.values.hardware import HardwareKey
from nodeplug_custom.globs import Glob, Place, Step, place_of, resolve
from nodeplug_custom.ids import id_of
from nodeplug_custom.patience import Patience
from nodeplug_custom.regexes import Regex
from nodeplug_custom.settings import CustomSettings, DeviceSettings, ResourceSettings

# As containerd and runc have it, where a directory is given as a device (GetDevices).
_NOT_PASSED: Final = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
_DEPTH: Final = 10
_IN_MEMORY: Final = ("/dev/", "/sys/", "/proc/")


class Owner(msgspec.Struct, frozen=True):
    """Who has a node: the rank of its resource in the configuration, the device, the resource.

    Others that want it `shared` as well may have it, too.
    """

    rank: int
    id: str
    resource: str
    shared: bool = False


class Entry(msgspec.Struct, frozen=True):
    """One element of a resource's `devices`, ready to match; `rank` is that of the resource."""

    rank: int
    resource: ResourceSettings
    device: DeviceSettings
    glob: Glob | Regex

    @property
    def pattern(self) -> str:
        """What the configuration says of it."""
        return self.device.path or self.device.regex


class Inner(msgspec.Struct, frozen=True):
    """A device node in a directory that stands for its nodes."""

    path: str
    seen: Seen


class Sighting(NamedTuple):
    """A path of the host that an entry selects, and what was seen there.

    `real` is the path with its links followed; `kind` is None where nothing is. `number` is that
    of a device node, else 0; `inode` tells it from another that takes its place; `numa_nodes` are
    those of its hardware. `id` is what it is known by: its path, or another that led to it before.
    `outside` is the directory that a link leads out of without leave: then nothing else is told.
    `inside` are the nodes of a directory that stands for them.
    """

    path: str
    real: str
    kind: NodeType | None
    number: int = 0
    inode: int = 0
    numa_nodes: tuple[int, ...] = ()
    id: str = ""
    outside: str = ""
    inside: tuple[Inner, ...] = ()

    @property
    def key(self) -> HardwareKey:
        """The device number as hardware, "" for what is no device node."""
        return Seen(self.kind, self.number).key


class Found(msgspec.Struct, frozen=True):
    """What one entry selects, and where a change would matter; `folder` is what it selects from."""

    sightings: tuple[Sighting, ...] = ()
    places: tuple[Place, ...] = ()
    folder: str = "/"


class Overlap(msgspec.Struct, frozen=True):
    """A path that is no device, for another path or entry has the same node already."""

    path: str
    pattern: str
    served_as: str
    served_by: str


class View(msgspec.Struct, frozen=True):
    """All that was selected at a moment: sightings by path, and where a change would matter.

    `entries` are those by which each real path is served.
    """

    sightings: dict[str, Sighting] = msgspec.field(default_factory=dict)
    entries: dict[str, Entry] = msgspec.field(default_factory=dict)
    overlaps: set[Overlap] = msgspec.field(default_factory=set)
    places: set[Place] = msgspec.field(default_factory=set)


class Way(msgspec.Struct, frozen=True):
    """One of the ways that lead to a thing."""

    entry: Entry
    seen: Sighting


class Selection:
    """The entries of a configuration, in its order."""

    def __init__(
        self,
        settings: CustomSettings,
        identities: Identities,
        patience: Patience[Found] | None = None,
    ) -> None:
        self._identities = identities
        self._patience = patience or Patience[Found]()
        self._numa: dict[tuple[str, int], tuple[int, ...]] = {}
        self._entries = [
            Entry(rank, resource, device, device.pattern)
            for rank, resource in enumerate(settings.resources)
            for device in resource.devices
        ]

    def entry(self, path: str) -> Entry | None:
        """Return the entry that selects a path, existing or not: the first that matches."""
        return next((each for each in self._entries if each.glob.matches(path)), None)

    def entry_of(self, overlap: Overlap) -> Entry:
        """Return the entry whose path is served otherwise."""
        return next(each for each in self._entries if each.pattern == overlap.pattern)

    def look(self, root: HostRoot) -> View:
        """Return what is there now. Blocks; needs no right but to search the directories."""
        view = View()
        ways: dict[str, list[Way]] = {}
        known, self._numa = self._numa, {}
        judged: dict[str, Sighting] = {}
        for entry in self._entries:
            found = look_for(entry.pattern, entry.glob, root, self._patience)
            view.places.update(found.places)
            for each in allowed(found, follow_links=entry.device.follow_links):
                seen = judged.setdefault(each.path, each)  # the first entry decides
                ways.setdefault(seen.real, []).append(Way(entry, seen))
        for way, others in _chosen(self._identities, [*ways.values()]):
            view.sightings[way.seen.path] = self._placed(root, way.seen, known)
            view.entries[way.seen.real] = way.entry
            served = way.seen.path, way.entry.pattern
            pairs = ((each.seen.path, each.entry.pattern) for each in others)
            view.overlaps.update(Overlap(*pair, *served) for pair in pairs)
        return view

    def _placed(
        self, root: HostRoot, seen: Sighting, known: Mapping[tuple[str, int], tuple[int, ...]]
    ) -> Sighting:
        # A device keeps its place as long as it is there, and sysfs takes its time.
        if not seen.number:
            return seen
        key = seen.real, seen.number
        nodes = self._numa[key] = known[key] if key in known else _numa_nodes(root, seen)
        return seen._replace(numa_nodes=nodes) if nodes else seen


def look_for(pattern: str, glob: Glob | Regex, root: HostRoot, patience: Patience[Found]) -> Found:
    """Return what matches a pattern, or did when the file system last answered. Blocks."""
    # What the kernel has in memory does not hang, and a thread takes its time, too.
    if pattern.startswith(_IN_MEMORY):
        return _find(glob, root)
    key = f"{pattern}/" if glob.deep else pattern
    return patience.result(key, partial(_find, glob, root)) or Found()


def allowed(found: Found, *, follow_links: bool) -> Iterator[Sighting]:
    """Yield what was found, of links that lead out of the folder without leave only that."""
    for seen in found.sightings:
        folder = _bounds(found.folder, seen.path)
        if follow_links or seen.real.startswith(f"{folder.rstrip('/')}/"):
            yield seen
        else:
            yield Sighting(seen.path, seen.path, None, outside=folder)


def leads_out(folder: str) -> str:
    """Return why a link that leads out of a folder is no healthy device."""
    return f"is a link that leads out of {folder}, which needs followLinks"


def _bounds(folder: str, path: str) -> str:
    # Links in /dev are made by udev, but for those of anybody in /dev/shm.
    shared = "/dev/shm"  # noqa: S108 - not ours
    if not f"{folder}/".startswith("/dev/") or folder.startswith(f"{shared}/"):
        return folder
    return shared if path.startswith(f"{shared}/") else "/dev"


def _chosen(
    identities: Identities, things: Sequence[list[Way]]
) -> Iterator[tuple[Way, Sequence[Way]]]:
    """Yield the way by which each thing is served, with its id, and the other ways to it.

    The first entry has it. Among the ways of its resource, the one by which it was served stays;
    if that is gone, the thing keeps its id as long as it is there.
    """
    own = [_of_one_resource(ways) for ways in things]
    ids = identities.assign("custom/paths", [_claim(ways) for ways in own], lasting=False)
    for ways, mine, known_as in zip(things, own, ids, strict=True):
        others = mine if len(mine) > 1 else ()  # an id takes its time
        way = next((each for each in others if id_of(each.seen.path) == known_as), mine[0])
        seen = way.seen._replace(id=known_as)
        yield Way(way.entry, seen), [each for each in ways if each is not way]


def _of_one_resource(ways: Sequence[Way]) -> Sequence[Way]:
    resource = ways[0].entry.resource
    if resource.named_by_device:
        return ways[:1]
    return [way for way in ways if way.entry.resource is resource]


def _claim(ways: Sequence[Way]) -> Claim:
    seen, resource = ways[0].seen, ways[0].entry.resource
    name = seen.path if resource.named_by_device else resource.name
    identity = f"{name} {seen.number} {seen.inode} {seen.real}"
    return Claim(identity, map(id_of, [*[way.seen.path for way in ways], seen.real]))


def _find(glob: Glob | Regex, root: HostRoot) -> Found:
    paths, places = glob.find(root)
    see_path = _Eyes(root).see
    sightings = tuple(see_path(path) for path in paths)
    if glob.deep:
        sightings = tuple(_opened(root, seen, places) for seen in sightings)
    links = (place_of(seen.real) for seen in sightings if seen.real != seen.path)
    return Found(sightings, (*places, *links), resolve(root, glob.folder))


def _opened(root: HostRoot, seen: Sighting, places: list[Place]) -> Sighting:
    """Return what was seen with the nodes in it; add where one may come or go."""
    if seen.kind != "directory":
        return seen
    top = str(root.root).rstrip("/")
    return seen._replace(inside=tuple(_nodes_in(top, seen.real, places, _DEPTH)))


def _nodes_in(top: str, directory: str, places: list[Place], depth: int) -> Iterator[Inner]:
    """Yield the nodes that container runtimes pass on for a directory; links are none."""
    try:
        entries = sorted(os.scandir(top + directory), key=lambda entry: entry.name)
    except OSError:
        return
    places.append(Place(directory, Step("*")))
    for entry in entries:
        path = f"{directory}/{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if depth and entry.name not in _NOT_PASSED:
                yield from _nodes_in(top, path, places, depth - 1)
        elif entry.name != "console" and (seen := see_unless_link(entry.path)) and seen.key:
            yield Inner(path, seen)


class _Eyes:
    """Follows links only where there are some: there are as many paths as devices."""

    def __init__(self, root: HostRoot) -> None:
        self._root = root
        self._top = str(root.root).rstrip("/")
        self._folders: dict[str, str] = {}

    def see(self, path: str) -> Sighting:
        folder, _, name = path.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = resolve(self._root, folder or "/").rstrip("/")
        real = f"{self._folders[folder]}/{name}" if folder != self._folders[folder] else path
        seen = see_unless_link(self._top + real)
        if seen is None:
            real = resolve(self._root, path)
            seen = see(self._root.path(real))
        return Sighting(path, real, *seen)


def _numa_nodes(root: HostRoot, seen: Sighting) -> tuple[int, ...]:
    major, minor = os.major(seen.number), os.minor(seen.number)
    devpath = device_of_node(root, str(seen.kind), major, minor)
    return numa_nodes(root.path(f"/sys{devpath}")) if devpath else ()
