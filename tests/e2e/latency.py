"""How long pods take to start."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from e2e.watch import Seen

STARTED = {"Running", "Succeeded"}


def starts(seen: Iterable[Seen], count: int) -> dict[str, float]:
    """Return the seconds from the first sight of each pod to its start, once so many have."""
    first: dict[str, float] = {}
    found: dict[str, float] = {}
    for at, pod in seen:
        name = pod["metadata"]["name"]
        first.setdefault(name, at)
        if pod["status"].get("phase") in STARTED and name not in found:
            found[name] = at - first[name]
        if len(found) == count:
            return found
    missing = sorted(first.keys() - found.keys())
    raise AssertionError(f"{len(found)} of {count} pods have started; not: {', '.join(missing)}")


def alternated(kinds: Sequence[str], number: int) -> Sequence[str]:
    """Return in which order kinds are measured in a round: each comes first equally often."""
    first = number % len(kinds)
    return [*kinds[first:], *kinds[:first]]


def percentiles(found: Mapping[str, float]) -> dict[str, float]:
    """Return p50, p90 and p99 in seconds."""
    cuts = statistics.quantiles(found.values(), n=100, method="inclusive")
    return {f"p{rank}": round(cuts[rank - 1], 3) for rank in (50, 90, 99)}
