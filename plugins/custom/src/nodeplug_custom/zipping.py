"""Paths put together: the first match of each, the second of each, and so on."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from nodeplug.host.identities import Claim, Identities
from nodeplug_custom.globs import Glob
from nodeplug_custom.ids import id_of, id_of_hardware
from nodeplug_custom.matches import ZippedPath, ZippedSettings
from nodeplug_custom.unit import Unit, UnitNode

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
    rows = identities.groups(scope, [[*column] for column in columns], optional)
    ids = identities.assign(scope, [_claim(row, optional) for row in rows])
    for unit_id, row in zip(ids, rows, strict=True):
        there = [path in paths for path, paths in zip(row, columns, strict=True)]
        gone = [row[n] for n, is_there in enumerate(there) if not is_there and n not in optional]
        nodes = tuple(
            _node(
                each,
                path,
                columns[number][path],
                accompanies=number > 0 and each.path in companions,
            )
            for number, (each, path) in enumerate(zip(zipped.paths, row, strict=True))
            if there[number]
        )
        lacks = f"{gone[0]} of the row is not present" if gone else ""
        yield Unit(id_of_hardware(unit_id), nodes, missing=lacks, labels=zipped.labels)


def surplus_of(columns: Columns, rows: Iterable[Unit]) -> Iterator[str]:
    """Yield the paths that match and are in no row, for another path of the row has no match."""
    used = {node.host_path for row in rows for node in row.nodes}
    for column in columns:
        yield from (path for path, real in column.items() if real not in used)


def _node(settings: ZippedPath, path: str, real: str, *, accompanies: bool) -> UnitNode:
    place = _place(settings.container_path, path)
    exclusive = False if accompanies and settings.exclusive is None else settings.exclusive
    return UnitNode(real, place, settings.permissions, exclusive)


def _claim(row: Sequence[str], optional: Collection[int]) -> Claim:
    known_by = next(path for number, path in enumerate(row) if number not in optional)
    first = next(path for path in row if path)
    return Claim(known_by, (f"zip-{id_of(each)}"[:56] for each in (first, known_by)))


def _place(template: str, path: str) -> str:
    name = path.rpartition("/")[2]
    if template.endswith("/"):
        return template + name
    return template.replace("{name}", name) or path
