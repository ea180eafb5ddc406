"""Findings put together to what containers get as one device."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from nodeplug.backend import Omissions
from nodeplug.host.identities import Claim, Identities
from nodeplug.host.root import HostRoot
from nodeplug_custom.findings import find
from nodeplug_custom.findings_values import Finding
from nodeplug_custom.globs import Glob, resolve
from nodeplug_custom.ids import id_of, id_of_hardware
from nodeplug_custom.matches import HardwareSettings, SetSettings, ZippedPath, ZippedSettings
from nodeplug_custom.naming import named
from nodeplug_custom.settings import ResourceSettings

# Nodes that every user of VFIO needs besides its own, and those that all functions of a group have.
CONTROL = frozenset({"/dev/vfio/vfio", "/dev/iommu"})
GROUP = re.compile(r"/dev/vfio/(?:noiommu-)?(\d+)")
# A set whose members never come back must not keep others from being made for ever.
_SETS_LIMIT = 100


@dataclass(frozen=True, slots=True)
class UnitNode:
    """A path of the host that a device consists of, and where containers find it."""

    host_path: str
    container_path: str
    permissions: str
    exclusive: bool | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """One device for containers. `findings` are what it consists of; none for plain paths.

    `missing` says why it is not complete, or is empty.
    """

    id: str
    nodes: tuple[UnitNode, ...]
    findings: tuple[Finding, ...] = ()
    entry: HardwareSettings | None = None
    missing: str = ""


class Eye:
    """What a look found of hardware, what each is called, and what belongs together.

    `left_out` is what was too odd to be made sense of.
    """

    def __init__(
        self, root: HostRoot, identities: Identities, resources: Sequence[ResourceSettings]
    ) -> None:
        """Look. Blocks."""
        self.root = root
        self.identities = identities
        self.left_out = Omissions()
        entries = [
            *(entry for each in resources for entry in each.hardware),
            *(entry for each in resources for wanted in each.sets for entry in wanted.members),
        ]
        self._found = [(entry, find(root, entry, self.left_out)) for entry in entries]
        self._ids = named(root, identities, [each for _, found in self._found for each in found])

    def singles(self, wanted: HardwareSettings) -> Iterator[Unit]:
        """Yield what an entry selects."""
        found = next(found for entry, found in self._found if entry is wanted)
        for each in found:
            yield Unit(self._ids[each], _nodes(each, wanted), (each,), wanted, each.missing)


def units_of(eye: Eye, resource: ResourceSettings, taken: set[str]) -> list[Unit]:
    """Return the devices that a resource has now besides those by path. Blocks.

    A node in `taken` belongs to something else; those of the units are added to it.
    """
    companions = _companions(resource.zipped)
    found = [
        *(unit for entry in resource.hardware for unit in eye.singles(entry)),
        *(unit for wanted in resource.sets for unit in _sets(eye, wanted)),
        *(unit for each in resource.zipped for unit in _zipped(eye, each, companions)),
    ]
    return list(_first_come(found, taken))


def _first_come(units: Iterable[Unit], taken: set[str]) -> Iterator[Unit]:
    ids: set[str] = set()
    companions: set[str] = set()
    for unit in units:
        nodes = {node.host_path for node in unit.nodes} - CONTROL
        groups = {*filter(GROUP.fullmatch, nodes)}
        own = nodes - groups | ({each.devpath for each in unit.findings} if groups else set())
        beside = set() if unit.findings else {node.host_path for node in unit.nodes[1:]}
        if unit.id in ids or (nodes | own) & (taken - (companions & beside)):
            continue
        companions |= beside
        ids.add(unit.id)
        taken |= own
        yield unit


def _nodes(finding: Finding, entry: HardwareSettings) -> tuple[UnitNode, ...]:
    rights = "".join(letter for letter in "rwm" if letter in entry.permissions)
    return tuple(
        UnitNode(node, entry.container_path, rights, entry.exclusive) for node in finding.nodes
    )


def _sets(eye: Eye, wanted: SetSettings) -> Iterator[Unit]:
    kinds = [{unit.id: unit for unit in eye.singles(member)} for member in wanted.members]
    scope = f"custom/sets/{_selection(wanted)}"
    for group in eye.identities.groups(scope, [[*kind] for kind in kinds]):
        members = [kind.get(unit_id) for kind, unit_id in zip(kinds, group, strict=True)]
        gone = [i for i, member in zip(group, members, strict=True) if member is None]
        present = [member for member in members if member is not None]
        lacks = f"{gone[0]} of the set is not present" if gone else ""
        yield Unit(
            id_of_hardware("set", *group),
            tuple(node for member in present for node in member.nodes),
            tuple(finding for member in present for finding in member.findings),
            present[0].entry,
            lacks or next((member.missing for member in present if member.missing), ""),
        )


def _selection(wanted: SetSettings) -> str:
    """Return what decides about the members of a set, as text: another choice, other groups."""
    kept = ("udev", "usb", "pci", "mdev", "exclude")
    chosen = [{name: getattr(member, name) for name in kept} for member in wanted.members]
    return msgspec.json.encode(_without_empty(chosen), order="sorted").decode()


def _without_empty(value: Any) -> Any:
    """Return a value as plain data without what was left empty: keys of later releases, too."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        return {name: _without_empty(each) for name, each in value.items() if each}
    return [_without_empty(each) for each in value] if isinstance(value, list | tuple) else value


def _companions(wanted: Iterable[ZippedSettings]) -> Collection[str]:
    """Return the paths that accompany several rows by what is configured, whoever is there now.

    Such a path has no wildcard and stands behind the first of several entries, or of one whose
    first can match several.
    """
    rows: Counter[str] = Counter()
    for zipped in wanted:
        first, *others = zipped.paths
        for path in {each.path for each in others if not Glob(each.path).wild}:
            rows[path] += 2 if Glob(first.path).wild else 1
    return {path for path, count in rows.items() if count > 1}


def _zipped(eye: Eye, zipped: ZippedSettings, companions: Collection[str]) -> Iterator[Unit]:
    columns = [Glob(each.path).find(eye.root)[0] for each in zipped.paths]
    optional = [number for number, each in enumerate(zipped.paths) if each.optional]
    scope = f"custom/zipped/{' '.join(each.path for each in zipped.paths)}"
    present = [frozenset(paths) for paths in columns]
    rows = eye.identities.groups(scope, columns, optional)
    ids = eye.identities.assign(scope, [_claim(row, optional) for row in rows])
    for unit_id, row in zip(ids, rows, strict=True):
        there = [path in paths for path, paths in zip(row, present, strict=True)]
        gone = [row[n] for n, is_there in enumerate(there) if not is_there and n not in optional]
        nodes = tuple(
            _node(eye.root, each, path, accompanies=number > 0 and each.path in companions)
            for number, (each, path) in enumerate(zip(zipped.paths, row, strict=True))
            if there[number]
        )
        lacks = f"{gone[0]} of the row is not present" if gone else ""
        yield Unit(id_of_hardware(unit_id), nodes, missing=lacks)


def _node(root: HostRoot, settings: ZippedPath, path: str, *, accompanies: bool) -> UnitNode:
    place = _place(settings.container_path, path)
    exclusive = False if accompanies and settings.exclusive is None else settings.exclusive
    return UnitNode(resolve(root, path), place, settings.permissions, exclusive)


def _claim(row: Sequence[str], optional: Collection[int]) -> Claim:
    known_by = next(path for number, path in enumerate(row) if number not in optional)
    first = next(path for path in row if path)
    return Claim(known_by, (f"zip-{id_of(each)}"[:56] for each in (first, known_by)))


def _place(template: str, path: str) -> str:
    name = path.rpartition("/")[2]
    if template.endswith("/"):
        return template + name
    return template.replace("{name}", name) or path
