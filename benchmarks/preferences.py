"""How fast and how good the preferred allocation is, beside trying every set."""

import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence

from benchmarks.report import Figure, percentile
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.prefer import prefer
from nodeplug.values.device import Device

_LIMIT_MS = 10
_CASES = ((16, 8), (16, 7), (256, 16))
_ROUNDS = 20
_TRIED = 12


async def preferred_allocation() -> AsyncIterator[Figure]:
    """Time the largest requests, and compare small ones with exhaustive search."""
    for devices, wanted in _CASES:
        seconds = [_time(devices, wanted, seed) for seed in range(_ROUNDS)]
        name = f"preferred allocation, {devices} choose {wanted}, slowest of {_ROUNDS}"
        yield Figure(name, 1000 * percentile(seconds, 100), "ms", _LIMIT_MS)
    ratios = [_quality(seed) for seed in range(_ROUNDS)]
    beside = f"of the best set's closeness; the worst of {_ROUNDS} is {min(ratios):.3f}"
    name = f"preferred allocation against exhaustive search, {_TRIED} devices"
    yield Figure(name, sum(ratios) / len(ratios), "x", beside=beside)


def _machine(devices: int, seed: int) -> Atlas:
    rng = random.Random(seed)
    half = devices // 2
    offered = [
        Device(
            id=f"gpu-{n:03}",
            resource="example.com/gpu",
            numa_nodes=(n // half,),
            location=(f"pci{n // half}", f"switch{n // 4}"),
        )
        for n in range(devices)
    ]
    links = {}
    for _ in range(2 * devices):
        one, other = sorted(rng.sample(range(devices), 2))
        links[f"gpu-{one:03}", f"gpu-{other:03}"] = rng.randint(1, 18)
    listed = tuple(OfferedDevice(device.id, device) for device in offered)
    return Atlas.of(Offer("example.com/gpu", listed, links=links))


def _time(devices: int, wanted: int, seed: int) -> float:
    atlas = _machine(devices, seed)
    atlas.weights  # noqa: B018 - worked out once per offer, not per request
    available = sorted(atlas.position)
    started = time.perf_counter()
    prefer(atlas, "aligned", available, [], wanted)
    return time.perf_counter() - started


def _quality(seed: int) -> float:
    atlas = _machine(_TRIED, seed)
    rng = random.Random(seed)
    wanted = rng.randint(2, 6)
    chosen = prefer(atlas, "aligned", sorted(atlas.position), [], wanted)
    sets = itertools.combinations(range(_TRIED), wanted)
    best = max(_closeness(atlas, positions) for positions in sets)
    return _closeness(atlas, [atlas.position[i] for i in chosen]) / best


def _closeness(atlas: Atlas, positions: Sequence[int]) -> int:
    return sum(atlas.weights[one][other] for one in positions for other in positions)
