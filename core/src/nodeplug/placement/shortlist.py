"""The policy `aligned` where there are too many devices to compare each with each.

The work is a step for each physical device: replicas are dealt out in rounds, and of devices that
are at one spot, and so as close to all others, the first stand for all.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import chain, islice
from typing import Any

from nodeplug.placement.aligned import choose_aligned
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.tree import choose_packed, plant
from nodeplug.values.device import Device

# So many are compared, each with each, in some milliseconds.
COMPARED = 128
# Who wants more at once gets places filled up: whole ones are close-knit by themselves.
_WANTED = COMPARED // 2
# So many of the closest places are looked at, of all that have enough.
_PLACES = 4

Spot = tuple[Any, ...]
"""NUMA nodes, location, and the physical device where that tells devices apart."""
Alike = Mapping[Spot, Sequence[int]]


def choose_of_many(
    atlas: Atlas, free: Collection[int], must: Collection[int], size: int
) -> list[int]:
    """Return positions as `choose_aligned` does. No device is given twice while others are free."""
    spare: dict[str, list[int]] = defaultdict(list)
    for position in sorted({*free}.difference(must), reverse=True):
        spare[atlas.devices[position].device.id].append(position)
    chosen = sorted(must)
    given = Counter(atlas.devices[position].device.id for position in chosen)
    while spare and len(level := _least_given(spare, given)) <= size - len(chosen):
        chosen += [spare[device].pop() for device in level]
        given.update(level)
        spare = {device: positions for device, positions in spare.items() if positions}
    if len(chosen) >= size:
        return chosen
    candidates = sorted(spare[device][-1] for device in level)
    return chosen + _choose_one_each(atlas, candidates, chosen, size - len(chosen))


def _least_given(spare: Iterable[str], given: Mapping[str, int]) -> list[str]:
    counts = {device: given.get(device, 0) for device in spare}
    least = min(counts.values())
    return [device for device, count in counts.items() if count == least]


def _choose_one_each(
    atlas: Atlas, candidates: Sequence[int], chosen: Sequence[int], count: int
) -> list[int]:
    """Return so many candidates, which are of different devices, close to what is chosen."""
    if count > _WANTED:
        return choose_packed(plant(atlas.paths, {*candidates}, {*chosen}), count)
    firsts = {atlas.devices[position].device.id: position for position in reversed(chosen)}
    # Where a container has that many, no place is closer to them than another.
    fixed = [*firsts.values()] if len(firsts) < COMPARED - _WANTED else []
    linked = frozenset(chain(*atlas.links))
    alike: dict[Spot, list[int]] = defaultdict(list)
    for position in candidates:
        alike[_spot(atlas.devices[position].device, linked)].append(position)
    near = [_spot(atlas.devices[position].device, linked) for position in fixed]
    kept = _kept(alike, near, linked, count)
    return _choose_of_few(atlas, alike, kept, fixed, count)


def _choose_of_few(
    atlas: Atlas, alike: Alike, kept: Alike, fixed: Sequence[int], count: int
) -> list[int]:
    positions = sorted({*chain(*kept.values()), *fixed})
    index = {position: number for number, position in enumerate(positions)}
    few = Atlas([atlas.devices[position] for position in positions], atlas.links)
    more = {spot: len(alike[spot]) - len(some) for spot, some in kept.items()}
    crowds = [
        (index[kept[spot][0]], index[kept[spot][1]], number)
        for spot, number in more.items()
        if number and len(kept[spot]) > 1
    ]
    must = {index[position] for position in fixed}
    found = choose_aligned(few.weights, range(len(positions)), must, len(must) + count, crowds)
    return [positions[number] for number in found if number not in must]


def _spot(device: Device, linked: Collection[str]) -> Spot:
    apart = device.parent or (device.id if device.id in linked else "")
    spot = (device.numa_nodes, *device.location)
    return (*spot, apart) if apart else spot


def _kept(
    alike: Alike, near: Sequence[Spot], linked: Collection[str], count: int
) -> dict[Spot, Sequence[int]]:
    """Return as many of each spot as can matter, of as many spots as can be compared."""
    most = max(2, count)  # two show how close to each other those of a spot are
    room = COMPARED - len(near)
    spots: Iterable[Spot] = alike
    if sum(min(most, len(positions)) for positions in alike.values()) > room:
        spots = _closest(alike, near, linked, count)
    kept: dict[Spot, Sequence[int]] = {}
    for spot in spots:
        if room <= 0:
            break
        if spot not in kept:
            kept[spot] = alike[spot][: min(most, room)]
            room -= len(kept[spot])
    return kept


def _closest(
    alike: Alike, near: Sequence[Spot], linked: Collection[str], count: int
) -> Iterator[Spot]:
    """Yield spots, the best first: near to what is chosen, in the closest place with enough.

    Of places that are equally close the smallest comes first: it tears the least apart.
    """
    sizes: dict[Spot, int] = {}
    for spot, positions in alike.items():
        for place in _places(spot):
            sizes[place] = sizes.get(place, 0) + len(positions)
    enough = (place for place, size in sizes.items() if size >= count)
    best = nsmallest(_PLACES, enough, key=lambda place: (-len(place), sizes[place], place))
    around = {place for spot in near for place in _places(spot) if place in sizes}
    places = [*nsmallest(_PLACES, around, key=lambda place: (-len(place), place)), *best]
    share = max(count, COMPARED // (len(places) + 1))
    for place in places:
        yield from islice((s for s in alike if s[: len(place)] == place), share)
    yield from islice((spot for spot in alike if linked and spot[-1] in linked), share)
    if not best:
        yield from sorted(alike, key=lambda spot: (-sizes[spot[:1]], spot))


def _places(spot: Spot) -> Sequence[Spot]:
    return [spot[:depth] for depth in range(1, len(spot) + 1)]
