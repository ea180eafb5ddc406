"""Findings put together to what containers get as one device."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from nodeplug.host.identities import Identities
from nodeplug_custom.buses import Buses
from nodeplug_custom.findings import find
from nodeplug_custom.findings_values import Finding
from nodeplug_custom.globs import Glob, Place
from nodeplug_custom.ids import id_of_hardware
from nodeplug_custom.matches import HardwareSettings, SetSettings, ZippedPath
from nodeplug_custom.naming import named
from nodeplug_custom.patience import Patience
from nodeplug_custom.selection import Found, Owner, Sighting, allowed, leads_out, look_for
from nodeplug_custom.settings import ResourceSettings
from nodeplug_custom.unit import CONTROL, GROUP, Unit, UnitNode
from nodeplug_custom.zipping import companions_of, rows_of, surplus_of

_SURPLUS = "nothing is left to be put together with it"


class Lost(NamedTuple):
    """Something that an entry selects and does not get, and why."""

    name: str
    resource: str
    reason: str
    refused: bool = False


class Eye:
    """What a look found of hardware, what each is called, and what belongs together.

    `lost` is what an entry selects and another has, or nobody; `places` are where a change would
    matter besides.
    """

    def __init__(
        self,
        buses: Buses,
        identities: Identities,
        patience: Patience[Found],
        resources: Sequence[ResourceSettings],
    ) -> None:
        """Look. Blocks."""
        self.root = root = buses.root
        self.places: set[Place] = set()
        self._patience = patience
        self.identities = identities
        entries = [
            *(entry for each in resources for entry in each.hardware),
            *(entry for each in resources for wanted in each.sets for entry in wanted.members),
        ]
        self.lost: list[Lost] = []
        self._found = [(entry, find(buses, entry)) for entry in entries]
        self._ids = named(root, identities, [each for _, found in self._found for each in found])

    def paths(self, wanted: ZippedPath, resource: str) -> Mapping[str, Sighting]:
        """Return the paths that match, in order, and what is there."""
        glob = Glob(wanted.path, deep=wanted.type == "nodes")
        found = look_for(wanted.path, glob, self.root, self._patience)
        self.places.update(found.places)
        seen = [*allowed(found, follow_links=wanted.follow_links)]
        out = [each for each in seen if each.outside]
        self.lost += [
            Lost(each.path, resource, leads_out(each.outside), refused=True) for each in out
        ]
        return {each.path: each for each in seen if not each.outside}

    def singles(self, wanted: HardwareSettings) -> Iterator[Unit]:
        """Yield what an entry selects."""
        found = next(found for entry, found in self._found if entry is wanted)
        for each in found:
            nodes = _nodes(each, wanted)
            yield Unit(self._ids[each], nodes, (each,), wanted, each.missing, wanted.labels)


def units_of(
    eye: Eye, resource: ResourceSettings, rank: int, taken: dict[str, Owner]
) -> list[Unit]:
    """Return the devices that a resource has now besides those by path. Blocks.

    `rank` is its place in the configuration: a node that is `taken` by an earlier one, or by its
    own paths, is not for it. The nodes of what it has are added.
    """
    zipped = [*_zipped(eye, resource)]
    found = [
        *(unit for entry in resource.hardware for unit in eye.singles(entry)),
        *(unit for wanted in resource.sets for unit in _sets(eye, wanted, resource.name)),
        *(row for rows, _ in zipped for row in rows),
    ]
    units = []
    for unit, owner, node in _first_come(found, rank, taken):
        if owner is None:
            own = _as_another(unit, rank, resource.name, taken)
            units.append(own)
            _take(own, rank, resource.name, taken)
        elif (owner.rank, owner.id) != (rank, unit.id):
            reason = f"{node} is served as {owner.id} by {owner.resource}"
            eye.lost.append(Lost(unit.id, resource.name, reason))
    for path in (path for _, surplus in zipped for path in surplus if path not in taken):
        eye.lost.append(Lost(path, resource.name, _SURPLUS))
    return units


def _as_another(unit: Unit, rank: int, resource: str, taken: Mapping[str, Owner]) -> Unit:
    """Return a unit under an id of its own, where an earlier resource has its nodes, too."""
    others = (taken[node.host_path] for node in unit.nodes if node.host_path in taken)
    if any(each.id == unit.id and each.rank < rank for each in others):
        return msgspec.structs.replace(unit, id=id_of_hardware(unit.id, resource))
    return unit


def _take(unit: Unit, rank: int, resource: str, taken: dict[str, Owner]) -> None:
    """Note who has the nodes of a unit; what is shared stays with whoever was first."""
    shared = _shared(unit)
    for node in _own(unit):
        if node not in taken or taken[node].rank > rank:
            taken[node] = Owner(rank, unit.id, resource, node in shared)


def _shared(unit: Unit) -> set[str]:
    return {node.host_path for node in unit.nodes if node.exclusive is False}


def _first_come(
    units: Iterable[Unit], rank: int, taken: Mapping[str, Owner]
) -> Iterator[tuple[Unit, Owner | None, str]]:
    """Yield units with whoever has one of their nodes before, and that node."""
    ids: set[str] = set()
    companions: set[str] = set()
    for unit in units:
        if unit.id in ids:
            continue
        beside = set() if unit.findings else {node.host_path for node in unit.nodes if node.beside}
        wanted = {node.host_path for node in unit.nodes} - CONTROL | _own(unit)
        shared = _shared(unit)
        owners = (
            (taken[each], each) for each in sorted(wanted - (companions & beside)) if each in taken
        )
        others = (each for each in owners if not (each[0].shared and each[1] in shared))
        earlier = next((each for each in others if each[0].rank <= rank), (None, ""))
        if earlier[0] is None:
            ids.add(unit.id)
            companions |= beside
        yield unit, *earlier


def _own(unit: Unit) -> set[str]:
    """Return the nodes that nobody else has; in their place the devices, if those form groups."""
    nodes = {node.host_path for node in unit.nodes} - CONTROL
    groups = {*filter(GROUP.fullmatch, nodes)}
    return nodes - groups | ({each.devpath for each in unit.findings} if groups else set())


def _nodes(finding: Finding, entry: HardwareSettings) -> tuple[UnitNode, ...]:
    rights = "".join(letter for letter in "rwm" if letter in entry.permissions)
    return tuple(
        UnitNode(node, entry.container_path, rights, entry.exclusive) for node in finding.nodes
    )


def _sets(eye: Eye, wanted: SetSettings, resource: str) -> Iterator[Unit]:
    if wanted.take == "all":
        yield from _whole(eye, wanted)
        return
    kinds = [{unit.id: unit for unit in eye.singles(member)} for member in wanted.members]
    scope = f"custom/sets/{_selection(wanted)}"
    groups = eye.identities.groups(scope, [[*kind] for kind in kinds])
    surplus = {unit_id for kind in kinds for unit_id in kind}.difference(*groups)
    eye.lost += [Lost(unit_id, resource, _SURPLUS) for unit_id in sorted(surplus)]
    for group in groups:
        members = [kind.get(unit_id) for kind, unit_id in zip(kinds, group, strict=True)]
        gone = [i for i, member in zip(group, members, strict=True) if member is None]
        present = [member for member in members if member is not None]
        lacks = f"{gone[0]} of the set is not present" if gone else ""
        yield _together(id_of_hardware("set", *group), present, wanted, lacks)


def _whole(eye: Eye, wanted: SetSettings) -> Iterator[Unit]:
    """Yield all that members match as one, whose id does not depend on what is there now."""
    found = {unit.id: unit for member in wanted.members for unit in eye.singles(member)}
    if found:
        yield _together(id_of_hardware("set", _selection(wanted)), [*found.values()], wanted)


def _together(unit_id: str, members: Sequence[Unit], wanted: SetSettings, lacks: str = "") -> Unit:
    return Unit(
        unit_id,
        tuple(node for member in members for node in member.nodes),
        tuple(finding for member in members for finding in member.findings),
        members[0].entry,
        lacks or next((member.missing for member in members if member.missing), ""),
        wanted.labels,
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


def _zipped(eye: Eye, resource: ResourceSettings) -> Iterator[tuple[list[Unit], list[str]]]:
    """Yield the rows of each entry, and the paths that are in none."""
    companions = companions_of(resource.zipped)
    for zipped in resource.zipped:
        columns = [eye.paths(each, resource.name) for each in zipped.paths]
        rows = [*rows_of(eye.identities, zipped, columns, companions)]
        yield rows, [*surplus_of(columns, rows)]
