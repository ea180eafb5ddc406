"""Which GPUs are linked, directly or through switches."""

from collections.abc import Iterable
from itertools import combinations

from nodeplug_nvidia_gpu.facts import SWITCHES, Ends, Gpu, Links


def links_between(ends: Iterable[tuple[Gpu, Ends]]) -> Links:
    """Return how many links lie between pairs of GPUs.

    All GPUs at switches are one fabric, unless they belong to different cliques of it: of two,
    the one with fewer links counts.
    """
    pairs = combinations(ends, 2)
    counts = {(a.uuid, b.uuid): _links(a, of_a, b, of_b) for (a, of_a), (b, of_b) in pairs}
    return {pair: count for pair, count in counts.items() if count}


def _links(a: Gpu, of_a: Ends, b: Gpu, of_b: Ends) -> int:
    direct = _direct(of_a, b) or _direct(of_b, a)
    if direct or a.clique != b.clique:
        return direct
    return min(of_a.get(SWITCHES, 0), of_b.get(SWITCHES, 0))


def _direct(ends: Ends, gpu: Gpu) -> int:
    return ends.get(gpu.uuid) or ends.get(gpu.address, 0)
