"""`make bench`: print every promise that exists now with its figure; exit 1 if one is broken."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

from benchmarks.measures import ALL
from benchmarks.report import Figure, show


def figures(names: list[str]) -> Iterator[Figure]:
    """Measure everything, or only what is named."""
    for measure in ALL:
        if not names or measure.__name__ in names:
            yield from asyncio.run(_collect(measure()))


async def _collect(measured: AsyncIterator[Figure]) -> list[Figure]:
    return [figure async for figure in measured]


if __name__ == "__main__":
    sys.exit(0 if show(figures(sys.argv[1:])) else 1)
