"""Paths put together: the first match of each, the second of each, and so on."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nodeplug.host.identities import Claim, Identities
from nodeplug_custom.devices import why_no_nodes
from nodeplug_custom.globs import Glob
from nodeplug_custom.ids import id_of, id_of_hardware
from nodeplug_custom.matches import ZippedPath, ZippedSettings
from nodeplug_custom.selection import Sighting
from nodeplug_custom.unit import Unit, UnitNode

# No path has it: what stands before it is the path, what stands behind the number of its copy.
_COPY = "//"

Columns = Sequence[Mapping[str, Sighting]]
"""The matches of each path, in order, and what is there."""


def companions_of(wanted: Iterable[ZippedSettings]) -> Collection[str]:
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


def rows_of(
    identities: Identities, zipped: ZippedSettings, columns: Columns, companions: Collection[str]
) -> Iterator[Unit]:
    """Yield what is put together, also while something of it is missing."""
    optional = [number for number, each in enumerate(zipped.paths) if each.optional]
    scope = f"custom/zipped/{' '.join(each.path for each in zipped.paths)}"
    rows = identities.groups(scope, _copies(zipped.paths, columns), optional)
    ids = identities.assign(scope, [_claim(zipped.paths, row) for row in rows])
    for unit_id, copies in zip(ids, rows, strict=True):
        row = [copy.partition(_COPY)[0] for copy in copies]
        there = [path in paths for path, paths in zip(row, columns, strict=True)]
        if not zipped.uneven and any(columns[n] and not there[n] for n in optional):
            continue
        gone = [row[n] for n, is_there in enumerate(there) if not is_there and n not in optional]
        seen = {n: columns[n][path] for n, path in enumerate(row) if there[n]}
        parts = (_nodes(zipped.paths[n], each, n, companions) for n, each in seen.items())
        nodes = tuple(node for part in parts for node in part)
        unfit = [why for n, each in seen.items() if (why := _unfit(zipped.paths[n], each))]
        lacks = f"{gone[0]} of the row is not present" if gone else "".join(unfit[:1])
        yield Unit(id_of_hardware(unit_id), nodes, missing=lacks, labels=zipped.labels)


def _copies(wanted: Sequence[ZippedPath], columns: Columns) -> list[list[str]]:
    """Return the matches of each path as often as rows may have them.

    Where all paths have a limit, the one with the most matches says how many rows there are.
    """
    limits = [each.limit for each in wanted]
    needed = [number for number, each in enumerate(wanted) if not each.optional]
    if all(limits[number] > 1 for number in needed):
        longest = max(needed or range(len(wanted)), key=lambda number: len(columns[number]))
        limits[longest] = 1
    return [
        [f"{path}{_COPY}{n}" if n else path for n in range(limit) for path in column]
        for limit, column in zip(limits, columns, strict=True)
    ]


def surplus_of(columns: Columns, rows: Iterable[Unit]) -> Iterator[str]:
    """Yield the paths that match and are in no row, for another path of the row has no match."""
    used = {node.host_path for row in rows for node in row.nodes}
    for column in columns:
        for path, seen in column.items():
            if used.isdisjoint(each.path for each in seen.inside) and seen.real not in used:
                yield path


def _nodes(
    settings: ZippedPath, seen: Sighting, number: int, companions: Collection[str]
) -> Iterator[UnitNode]:
    """Yield what a match is to containers: of a directory that stands for its nodes, these."""
    accompanies = (number > 0 and settings.path in companions) or settings.limit > 1
    exclusive = False if accompanies and settings.exclusive is None else settings.exclusive
    place = _place(settings.container_path, seen.path)
    whole = [] if _unfit(settings, seen) else [seen.real]
    for path in [each.path for each in seen.inside] or whole:
        yield UnitNode(
            path,
            place + path[len(seen.real) :],
            settings.permissions,
            exclusive,
            beside=number > 0 or settings.limit > 1,
            mount=settings.type == "mount",
        )


def _unfit(settings: ZippedPath, seen: Sighting) -> str:
    if settings.type != "nodes" or seen.key:
        return ""
    why = why_no_nodes(seen)
    return f"{seen.path}: {why}" if why else ""


def _claim(wanted: Sequence[ZippedPath], row: Sequence[str]) -> Claim:
    """Return what a row is known by: a match that only this row has, and always."""
    there = [(each, path) for each, path in zip(wanted, row, strict=True) if path]
    own = [(each, path) for each, path in there if each.limit == 1] or there
    known_by = next((path for each, path in own if not each.optional), own[0][1])
    return Claim(known_by, (f"zip-{id_of(each)}"[:56] for each in (own[0][1], known_by)))


def _place(template: str, path: str) -> str:
    name = path.rpartition("/")[2]
    if template.endswith("/"):
        return template + name
    return template.replace("{name}", name) or path
