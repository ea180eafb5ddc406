"""Paths put together: the first match of each, the second of each, and so on."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nodeplug.host.identities import Claim, Identities
from nodeplug_custom.globs import Glob
from nodeplug_custom.ids import id_of, id_of_hardware
from nodeplug_custom.matches import ZippedPath, ZippedSettings
from nodeplug_custom.unit import Unit, UnitNode

# No path has it: what stands before it is the path, what stands behind the number of its copy.
_COPY = "//"

Columns = Sequence[Mapping[str, str]]
"""The matches of each path, in order, and where their links lead to."""


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
        gone = [row[n] for n, is_there in enumerate(there) if not is_there and n not in optional]
        nodes = tuple(
            _node(each, path, columns[number][path], number, companions)
            for number, (each, path) in enumerate(zip(zipped.paths, row, strict=True))
            if there[number]
        )
        lacks = f"{gone[0]} of the row is not present" if gone else ""
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
        yield from (path for path, real in column.items() if real not in used)


def _node(
    settings: ZippedPath, path: str, real: str, number: int, companions: Collection[str]
) -> UnitNode:
    accompanies = (number > 0 and settings.path in companions) or settings.limit > 1
    return UnitNode(
        real,
        _place(settings.container_path, path),
        settings.permissions,
        False if accompanies and settings.exclusive is None else settings.exclusive,
        beside=number > 0 or settings.limit > 1,
    )


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
