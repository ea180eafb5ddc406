"""Waiting on machines that have other work, too."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

# 20 ms of work in all. A piece is short enough to be done at one go on a busy machine, too.
_PIECES, _PIECE = 100, 20_000
_TICK = 0.05


def slowness() -> float:
    """Return how many times as long work takes now as on an idle machine, at least 1."""
    pieces = [_piece() for _ in range(_PIECES)]
    return sum(pieces) / _PIECES / min(pieces)


def extension(seconds: float, times: float = 2) -> float:
    """Return how many seconds more it is worth to wait for what has not come within these.

    The machine is measured now. It may have been busier before: `times` as many are enough on one
    that is idle now.
    """
    return seconds * (times * slowness() - 1)


@asynccontextmanager
async def patience(seconds: float, times: float = 2) -> AsyncGenerator[None, None]:
    """Raise TimeoutError in the body once it hangs.

    It has so many seconds; where they do not do, `times` as many, and more on a busy machine. With
    1 it is a promise of what an idle machine does. While the event loop stands still, or its
    process, no time goes by.
    """
    timer: asyncio.Handle

    def tick(left: float) -> None:
        nonlocal timer
        if left > 0:
            timer = loop.call_later(min(left, _TICK), tick, left - _TICK)
        else:
            limit.reschedule(loop.time() + extension(seconds, times))

    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as limit:
        timer = loop.call_soon(tick, seconds)
        try:
            yield
        finally:
            timer.cancel()


in_time = partial(patience, times=1)
"""What `patience` is with 1: a limit of seconds, by the measure of this machine."""


def _piece() -> float:
    started = time.perf_counter()
    for _ in range(_PIECE):
        pass
    return time.perf_counter() - started
