"""How fast and how good the preferred allocation is, beside trying every set."""

import itertools
import random
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Sequence

from benchmarks.report import Figure, percentile
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.prefer import prefer
from nodeplug.values.device import Device

_LIMIT_MS = 10
_LIMIT_MIB = 5
_CASES = ((16, 8), (16, 7), (256, 16))
_ROUNDS = 20
_TRIED = 12


async def preferred_allocation() -> AsyncIterator[Figure]:
    """Time the largest requests, and compare small ones with exhaustive search."""
    for devices, wanted in _CASES:
        seconds = [_time(devices, wanted, seed) for seed in range(_ROUNDS)]
        name = f"preferred allocation, {devices} choose {wanted}, slowest of {_ROUNDS}"
        yield Figure(name, 1000 * percentile(seconds, 100), "ms", _LIMIT_MS)
    for name, offer, limit in (*_shared(), *_single()):
        yield Figure(f"first preferred allocation, {name}", _first(offer), "ms", limit)
    yield Figure("first preferred allocation, 8 x 1,000, memory", _memory(), "MiB", _LIMIT_MIB)
    ratios = [_quality(seed) for seed in range(_ROUNDS)]
    beside = f"of the best set's closeness; the worst of {_ROUNDS} is {min(ratios):.3f}"
    name = f"preferred allocation against exhaustive search, {_TRIED} devices"
    yield Figure(name, sum(ratios) / len(ratios), "x", beside=beside)


def _machine(devices: int, seed: int) -> Atlas:
    listed = tuple(OfferedDevice(device.id, device) for device in _devices(devices))
    return Atlas.of(Offer("example.com/gpu", listed, links=_links(devices, seed)))


def _devices(count: int) -> list[Device]:
    half = count // 2
    return [
        Device(
            id=f"gpu-{n:03}",
            resource="example.com/gpu",
            numa_nodes=(n // half,),
            location=(f"pci{n // half}", f"switch{n // 4}"),
        )
        for n in range(count)
    ]


def _links(devices: int, seed: int) -> dict[tuple[str, str], int]:
    rng = random.Random(seed)
    links = {}
    for _ in range(2 * devices):
        one, other = sorted(rng.sample(range(devices), 2))
        links[f"gpu-{one:03}", f"gpu-{other:03}"] = rng.randint(1, 18)
    return links


def _shared() -> Iterator[tuple[str, Offer, float]]:
    """Yield eight GPUs with a thousand replicas each."""
    gpus = _devices(8)
    ids = [(f"{gpu.id}::{n}", gpu) for gpu in gpus for n in range(1000)]
    offered = tuple(OfferedDevice(*each) for each in ids)
    yield "8 x 1,000 choose 8", Offer("example.com/gpu", offered, links=_links(8, 0)), 20


def _single() -> Iterator[tuple[str, Offer, float]]:
    """Yield ten thousand devices, four of them at each switch."""
    offered = tuple(OfferedDevice(each.id, each) for each in _devices(10_000))
    yield "10,000 choose 8", Offer("example.com/gpu", offered), 50


def _first(offer: Offer) -> float:
    """Return how long a request takes of which nothing is known before, in milliseconds."""
    seconds = []
    for _ in range(_ROUNDS):
        available = [each.id for each in offer.devices]
        started = time.perf_counter()
        prefer(Atlas.of(offer), "aligned", available, [], 8)
        seconds.append(time.perf_counter() - started)
    return 1000 * percentile(seconds, 50)


def _memory() -> float:
    [(_, offer, _)] = _shared()
    tracemalloc.start()
    prefer(Atlas.of(offer), "aligned", [each.id for each in offer.devices], [], 8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / (1 << 20)


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
