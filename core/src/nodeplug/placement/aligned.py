"""The policy `aligned`: devices that are close to each other."""

from collections.abc import Collection, Sequence

Weights = Sequence[Sequence[int]]
Crowd = tuple[int, int, int]
"""Two positions of one spot, and how many more there are of it that are not listed."""

# Beyond so many devices not every one is tried as the first.
_SEEDS = 12
_SWAPS = 8


def choose_aligned(
    weights: Weights,
    available: Collection[int],
    must: Collection[int],
    size: int,
    crowds: Sequence[Crowd] = (),
) -> list[int]:
    """Return positions: those in `must`, and others such that the set is close-knit.

    Of sets that are equally so, the one is taken that tears the fewest good pairs apart: what it
    leaves behind, those of `crowds` too, is worth most to those who come later.
    """
    fixed = sorted(must)
    free = [index for index in sorted(available) if index not in must]
    if len(fixed) >= size:
        return fixed
    grown = {tuple(sorted(_grow(weights, free, [*fixed, s], size))) for s in _seeds(weights, free)}
    best = max(sorted(grown), key=lambda found: _value(weights, free, found, crowds))
    return _improve(weights, list(best), free, fixed)


def _seeds(weights: Weights, free: Sequence[int]) -> Sequence[int]:
    if len(free) <= _SEEDS:
        return free
    ranked = sorted(free, key=lambda index: (-sum(weights[index]), index))
    step = len(ranked) / (_SEEDS - 1)
    return [ranked[min(len(ranked) - 1, int(n * step))] for n in range(_SEEDS)]


def _grow(weights: Weights, free: Sequence[int], start: Sequence[int], size: int) -> list[int]:
    chosen = list(start)
    gains = _gains(weights, chosen)
    rest = [index for index in free if index not in chosen]
    while len(chosen) < size:
        best = max(rest, key=gains.__getitem__)
        rest.remove(best)
        chosen.append(best)
        gains = [gain + more for gain, more in zip(gains, weights[best], strict=True)]
    return chosen


def _improve(
    weights: Weights, chosen: list[int], free: Sequence[int], fixed: Sequence[int]
) -> list[int]:
    for _ in range(_SWAPS):
        gains = _gains(weights, chosen)
        rest = [index for index in free if index not in chosen]
        swap = _best_swap(weights, [c for c in chosen if c not in fixed], rest, gains)
        if swap is None:
            break
        out, into = swap
        chosen[chosen.index(out)] = into
    return sorted(chosen)


def _best_swap(
    weights: Weights, chosen: Sequence[int], rest: Sequence[int], gains: Sequence[int]
) -> tuple[int, int] | None:
    best, found = 0, None
    for out in chosen:
        row, loss = weights[out], gains[out]
        for into in rest:
            if gains[into] - row[into] - loss > best:
                best, found = gains[into] - row[into] - loss, (out, into)
    return found


def _gains(weights: Weights, chosen: Sequence[int]) -> list[int]:
    return [sum(column) for column in zip(*(weights[index] for index in chosen), strict=True)]


def _value(
    weights: Weights, free: Sequence[int], chosen: Sequence[int], crowds: Sequence[Crowd]
) -> tuple[int, int]:
    gains = _gains(weights, chosen)
    inside = sum(gains[index] for index in chosen)
    torn = sum(gains[index] for index in free)
    for one, other, number in crowds:
        torn += number * (gains[one] + (weights[one][other] if one in chosen else 0))
    return inside, inside - torn
