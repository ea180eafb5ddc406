"""Findings put together to what containers get as one device."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nodeplug.host.root import HostRoot
from nodeplug_custom.findings import find
from nodeplug_custom.findings_values import Finding
from nodeplug_custom.globs import Glob, resolve
from nodeplug_custom.ids import id_of, id_of_hardware
from nodeplug_custom.matches import HardwareSettings, SetSettings, ZippedSettings
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


Pairs = dict[tuple[str, int], list[tuple[str, ...]]]


def units_of(
    root: HostRoot, resource: ResourceSettings, pairs: Pairs, taken: set[str]
) -> list[Unit]:
    """Return the devices that a resource has now besides those by path. Blocks.

    `pairs` remembers which devices were put together. A node in `taken` belongs to something else;
    those of the units are added to it.
    """
    found = [
        *(unit for entry in resource.hardware for unit in _singles(find(root, entry), entry)),
        *(
            unit
            for number, wanted in enumerate(resource.sets)
            for unit in _sets(root, wanted, pairs.setdefault((resource.name, number), []))
        ),
        *(unit for zipped in resource.zipped for unit in _zipped(root, zipped)),
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


def _singles(found: Sequence[Finding], entry: HardwareSettings) -> Iterator[Unit]:
    for finding, unit_id in zip(found, _ids(found), strict=True):
        yield Unit(unit_id, _nodes(finding, entry), (finding,), entry, finding.missing)


def _ids(found: Sequence[Finding]) -> list[str]:
    """Return an id for each; two of one name get what tells them apart, and both say so.

    Sticks of one kind may all have the serial number of the first.
    """
    names = [(each.parent.kind, each.parent.name, each.part) for each in found]
    devices = Counter((each.parent.kind, each.parent.name, each.parent.devpath) for each in found)
    common = Counter((kind, name) for kind, name, _ in devices)
    apart = [
        (*words, each.parent.port if common[words[:2]] > 1 else "")
        for words, each in zip(names, found, strict=True)
    ]
    seen: Counter[tuple[str, ...]] = Counter()
    ids = []
    for words in apart:
        ids.append(id_of_hardware(*words, str(seen[words]) if seen[words] else ""))
        seen[words] += 1
    return ids


def _nodes(finding: Finding, entry: HardwareSettings) -> tuple[UnitNode, ...]:
    rights = "".join(letter for letter in "rwm" if letter in entry.permissions)
    return tuple(
        UnitNode(node, entry.container_path, rights, entry.exclusive) for node in finding.nodes
    )


def _sets(root: HostRoot, wanted: SetSettings, pairs: list[tuple[str, ...]]) -> Iterator[Unit]:
    kinds = [{u.id: u for u in _singles(find(root, m), m)} for m in wanted.members]
    used = {unit_id for pair in pairs for unit_id in pair}
    free = [[i for i in kind if i not in used] for kind in kinds]
    pairs.extend(zip(*_distinct(free), strict=False))
    del pairs[:-_SETS_LIMIT]
    for pair in pairs:
        members = [kind.get(unit_id) for kind, unit_id in zip(kinds, pair, strict=True)]
        gone = [i for i, member in zip(pair, members, strict=True) if member is None]
        present = [member for member in members if member is not None]
        lacks = f"{gone[0]} of the set is not present" if gone else ""
        yield Unit(
            id_of_hardware("set", *pair),
            tuple(node for member in present for node in member.nodes),
            tuple(finding for member in present for finding in member.findings),
            present[0].entry if present else wanted.members[0],
            lacks or next((member.missing for member in present if member.missing), ""),
        )


def _distinct(kinds: Sequence[list[str]]) -> list[list[str]]:
    """Return the lists without what an earlier list uses in the same place."""
    result: list[list[str]] = []
    count = min(map(len, kinds), default=0)
    used: set[str] = set()
    for kind in kinds:
        own = [unit_id for unit_id in kind if unit_id not in used][:count]
        used.update(own)
        result.append(own)
    return result


def _zipped(root: HostRoot, zipped: ZippedSettings) -> Iterator[Unit]:
    columns = [(each, Glob(each.path).find(root)[0]) for each in zipped.paths]
    needed = [paths for each, paths in columns if not each.optional]
    for row in range(min(map(len, needed), default=0)):
        chosen = [(each, paths[row]) for each, paths in columns if row < len(paths)]
        nodes = tuple(
            UnitNode(
                resolve(root, path),
                _place(each.container_path, path),
                each.permissions,
                each.exclusive,
            )
            for each, path in chosen
        )
        yield Unit(f"zip-{id_of(chosen[0][1])}"[:56], nodes)


def _place(template: str, path: str) -> str:
    name = path.rpartition("/")[2]
    if template.endswith("/"):
        return template + name
    return template.replace("{name}", name) or path
