"""How long is waited for what does not come."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from nodeplug.testing.patience import in_time, patience, slowness
from support.timed import timed


@contextmanager
def busy_machine() -> Iterator[None]:
    """Have four processes compute on each core."""
    with ExitStack() as started:
        for _ in range(4 * (os.cpu_count() or 1)):
            hog = started.enter_context(subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]))
            started.callback(hog.kill)
        yield


@timed
async def test_a_busy_machine_has_more_time() -> None:
    """Its processes are late, and not broken."""
    with busy_machine():
        async with patience(0.2):
            await asyncio.sleep(0.6)


@timed
def test_work_is_slow_among_other_work() -> None:
    """With five for each core a piece of work takes five times as long; here at least twice."""
    with busy_machine():
        assert slowness() > 2


async def test_no_time_goes_by_while_the_event_loop_stands_still() -> None:
    """What is waited for could not come either."""
    async with in_time(0.5):
        for _ in range(8):
            time.sleep(0.2)  # noqa: ASYNC251 - as another task would
            await asyncio.sleep(0)


async def test_what_never_comes_is_not_waited_for_for_ever() -> None:
    """A hang is a failure."""
    with pytest.raises(TimeoutError):
        async with patience(0.05):
            await asyncio.Event().wait()
