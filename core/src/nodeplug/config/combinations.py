"""Which overrides of a file can hold on one node together."""

import re
from collections.abc import Collection, Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import combinations as subsets

from nodeplug.config.settings import NodeOverride

_WILDCARD = re.compile(r"[*?\[]")
# Beyond it only pairs are looked at: what contradicts each other does so in pairs.
_LIMIT = 1000

Chosen = tuple[int, ...]


def combinations(overrides: Sequence[NodeOverride]) -> list[Chosen]:
    """Return the overrides that may hold together, by number, none among them, small sets first.

    Where there are very many of these, those of one and of two.
    """
    numbers = range(len(overrides))
    beside = {n: {m for m in numbers if _together(overrides[n], overrides[m])} for n in numbers}
    always = {n: {m for m in numbers if _implies(overrides[n], overrides[m])} for n in numbers}
    everywhere = {n for n in numbers if _implies(NodeOverride(), overrides[n])}
    found: dict[Chosen, None] = {}
    for chosen in _cliques(numbers, beside):
        found[_closed(everywhere.union(chosen), always)] = None
        if len(found) > _LIMIT:
            pairs = [(), *subsets(numbers, 1), *subsets(numbers, 2)]
            fit = [each for each in pairs if not each or each[-1] in beside[each[0]]]
            return list(dict.fromkeys(_closed(everywhere.union(s), always) for s in fit))
    return sorted(found, key=len)


def _cliques(numbers: Sequence[int], beside: dict[int, set[int]]) -> Iterator[Chosen]:
    """Yield all sets of numbers in which each is beside each."""
    open_sets: list[tuple[Chosen, list[int]]] = [((), list(numbers))]
    while open_sets:
        chosen, left = open_sets.pop()
        yield chosen
        for position, number in enumerate(left):
            rest = [other for other in left[position + 1 :] if other in beside[number]]
            open_sets.append(((*chosen, number), rest))


def _closed(chosen: Collection[int], always: dict[int, set[int]]) -> Chosen:
    return tuple(sorted(set(chosen).union(*(always[number] for number in chosen))))


def _together(one: NodeOverride, other: NodeOverride) -> bool:
    """Whether one node may have both."""
    if any(other.labels.get(key, value) != value for key, value in one.labels.items()):
        return False
    if one.names is None or other.names is None:
        return True
    return any(_meet(a, b) for a in one.names for b in other.names)


def _meet(one: str, other: str) -> bool:
    if not _WILDCARD.search(one):
        return fnmatchcase(one, other)
    if not _WILDCARD.search(other):
        return fnmatchcase(other, one)
    ours, theirs = (_WILDCARD.split(each)[0] for each in (one, other))
    return ours.startswith(theirs) or theirs.startswith(ours)


def _implies(one: NodeOverride, other: NodeOverride) -> bool:
    """Whether each node that has the first has the second, too."""
    if not other.labels.items() <= one.labels.items():
        return False
    if other.names is None:
        return True
    named = one.names is not None and not any(map(_WILDCARD.search, one.names))
    return named and all(any(fnmatchcase(n, p) for p in other.names) for n in one.names or ())
