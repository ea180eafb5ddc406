"""Processes that nobody waits for: the first process of a container inherits them."""

import asyncio
import os
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

# Whoever has started a process waits for it sooner.
_PAUSE_SECONDS = 10.0


async def reap_orphans(proc: Path = Path("/proc"), pause: float = _PAUSE_SECONDS) -> None:
    """Take the dead away that have been there for two looks, if this is process 1."""
    before: set[int] = set()
    while os.getpid() == 1:
        dead = set(_dead_children(proc))
        _reap(dead & before)
        before = dead
        await asyncio.sleep(pause)


def _reap(dead: Collection[int]) -> None:
    for pid in dead:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def _dead_children(proc: Path) -> Iterator[int]:
    own = str(os.getpid())
    try:
        names = os.listdir(proc)  # noqa: PTH208 - names are all that is needed
    except OSError:  # no descriptor is left; the dead can wait
        return
    for name in names:
        with suppress(OSError, IndexError):
            if name.isdigit():
                # proc(5): state and parent stand behind the program's name in parentheses.
                state, parent = (proc / name / "stat").read_text().rpartition(")")[2].split()[:2]
                if (state, parent) == ("Z", own):
                    yield int(name)
