"""A random walk through faults, the same for the same seed, with the truth checked at each step."""

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

from chaos.faults import DISK, FILES, LIVE, RESTARTS, Fault, kubelet_restarts
from chaos.hardware_faults import HARDWARE, HARDWARE_RESTARTS
from chaos.limits import own_limits
from chaos.limits_faults import LIMITS, ROOMS, WATCHES
from chaos.outside_faults import OUTSIDE
from chaos.world import RESTART_SECONDS, BrokenError, World, world
from support.fuse import can_serve_files

# How much an agent may have grown since it had settled.
_GROWTH = {"resident MiB": 12.0, "descriptors": 30, "threads": 12}
_PATIENCE_SECONDS = 15
_LOOK_AT_GROWTH = 50
_PODS = 12


class Result(NamedTuple):
    """What a campaign has seen: faults by name, seconds until the truth held again, growth."""

    seed: int
    faults: dict[str, list[float]]
    pods: int
    growth: dict[str, float]
    seconds: float

    def lines(self) -> list[str]:
        """Return the result as the lines of a table."""
        rows = [
            f"| {name.replace('_', ' ')} | {len(times)} | {1000 * statistics.median(times):.0f} "
            f"| {1000 * max(times):.0f} |"
            for name, times in sorted(self.faults.items())
        ]
        total = sum(map(len, self.faults.values()))
        grown = ", ".join(f"{name} {value:+.1f}" for name, value in self.growth.items())
        return [
            "| fault | times | until the truth holds, median ms | longest ms |",
            "|---|---|---|---|",
            *rows,
            "",
            (
                f"{total} faults, {self.pods} pods, seed {self.seed}, {self.seconds:.0f} s, "
                f"0 violations, no hold stranded; most growth of one process: {grown}"
            ),
        ]


async def campaign(  # noqa: PLR0913 - all but the first two are options
    faults: int,
    seed: int,
    *,
    restarts: float = 1.0,
    outside: float = 0.0,
    planted: str = "",
    say: Callable[[str], None] = lambda _: None,
) -> Result:
    """Walk; raise BrokenError with seed, step and the latest faults when anything is not true.

    `restarts` is the weight of faults that replace the agent, against that of a long campaign,
    `outside` that of those from outside; `planted` breaks the agent (`world`).
    """
    dice = random.Random(seed)
    replacing = (*RESTARTS, *HARDWARE_RESTARTS)
    table = [*LIVE, *HARDWARE, *_weighed(replacing, restarts)]
    table += _weighed(_seen_from_outside(), outside)
    table += FILES if can_serve_files() else ()
    started, done, walked = time.monotonic(), dict[str, list[float]](), list[str]()
    async with world(dice, planted=planted, outside=bool(outside)) as play:
        table += DISK if play.disks else ()
        table += _weighed(ROOMS, outside) if play.rooms else ()
        growth = _Growth(play)
        for step in range(faults):
            [fault] = dice.choices(table, [each.weight for each in table])
            walked.append(fault.act.__name__)
            try:
                seconds = await _one(play, fault)
            except (AssertionError, TimeoutError) as error:
                latest = ", ".join(walked[-10:])
                raise BrokenError(f"seed {seed}, step {step}, after {latest}: {error}") from error
            done.setdefault(fault.act.__name__, []).append(seconds)
            if step % _LOOK_AT_GROWTH == 0:
                # R15: a kubelet keeps connections of registrations that others took the place of.
                await kubelet_restarts(play)
                await play.settled()
                await growth.look()
                play.kubelet.journal.events.clear()
                say(f"{step} faults, {play.admitted} pods")
        await _end_all(play)
        return Result(seed, done, play.admitted, growth.most, time.monotonic() - started)


def _weighed(faults: Sequence[Fault], weight: float) -> list[Fault]:
    return [Fault(fault.weight * weight, fault.act) for fault in faults if weight]


def _seen_from_outside() -> Sequence[Fault]:
    """Return what is done by those outside, or can be seen from there alone."""
    return (*OUTSIDE, *LIMITS, *(WATCHES if own_limits() else ()))


async def _one(play: World, fault: Fault) -> float:
    """Let pods come and go, do it, and wait for the truth; return how long that took."""
    while len(play.pods) > play.dice.randint(0, _PODS):
        await play.end_pod()
    await play.settled()
    await play.admit(play.dice.choice(play.truth.resources()))
    started = time.monotonic()
    await fault.act(play)
    await play.settled()
    return time.monotonic() - started


async def _end_all(play: World) -> None:
    """Let all pods end and all hardware be sound: nothing may be held then, by whatever name."""
    while play.pods:
        await play.end_pod()
    play.end_ghosts()
    for vendor in play.vendors:
        if vendor.lost:
            await asyncio.to_thread(vendor.recover)
    play.set(sick=(), missing=())
    play.share_all()
    await play.settled(RESTART_SECONDS)


class _Growth:
    """What a process has more of than at the first look at it."""

    def __init__(self, play: World) -> None:
        self.most = dict.fromkeys(_GROWTH, 0.0)
        self._play = play
        self._pid = 0
        self._first: dict[str, float] = {}

    async def look(self) -> None:
        """Compare; raise BrokenError if it is too much, and stays so.

        The kubelet's side of a connection ends when Python collects it; ours some seconds later.
        """
        gc.collect()
        if outside := self._play.outside:  # a look that keeps connections of its own
            await outside.watch.open()  # the agent may have just started
            await outside.watch.get("/readyz")
        pid = self._play.agent.pid
        if pid != self._pid:
            self._pid, self._first = pid, _measure(pid)
        for _ in range(_PATIENCE_SECONDS):
            grown = {name: value - self._first[name] for name, value in _measure(pid).items()}
            if all(grown[name] <= limit for name, limit in _GROWTH.items()):
                break
            await asyncio.sleep(1)
        else:
            kinds = Path(f"/proc/{pid}/smaps_rollup").read_text()
            raise BrokenError(f"agent {pid} had {self._first}, has grown by {grown}: {kinds}")
        self.most = {name: max(self.most[name], value) for name, value in grown.items()}


def _measure(pid: int) -> dict[str, float]:
    process = psutil.Process(pid)
    return {
        "resident MiB": process.memory_info().rss / 2**20,
        "descriptors": process.num_fds(),
        "threads": process.num_threads(),
    }
