"""The figures of two plugins, taken in turns so that noise hits both."""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import grpc
import psutil

from benchmarks.calls import allocate_repeatedly
from benchmarks.report import NEVER, NOT_MEASURED, Comparison, Measured, percentile
from benchmarks.sides import Side
from benchmarks.usage import cpu_share, resident, with_children
from nodeplug.conformance.checks_lists import one_with_devices
from nodeplug.conformance.stage import pause
from nodeplug.conformance.verdicts import Broken, NotJudgedError

# Who has not come back so often is not asked again.
_ENOUGH = 3
_TURNS = 10
# Lets the echoes of one change die away before the next.
_APART_SECONDS = 0.05

Take = Callable[[Side], Awaitable[list[float]]]


@dataclass(frozen=True, slots=True)
class Counts:
    """How often each thing is done, and how long idleness is watched."""

    starts: int
    restarts: int
    changes: int
    calls: int
    idle_seconds: float


async def compared(theirs: Side, ours: Side, counts: Counts) -> AsyncIterator[Comparison]:
    """Yield each figure once it is known. Restarts of the kubelet may end a plugin: they are last.

    Raises Broken when a command that changes a device fails.
    """
    pair = (theirs, ours)
    memory = [_memory(side) for side in pair]
    idle = await asyncio.gather(*[_idle(side, counts.idle_seconds) for side in pair])
    yield Comparison("resident, with child processes", "MiB", *memory)
    yield Comparison("idle, share of a core", "%", *idle)
    starts = await _in_turns(pair, _start, counts.starts)
    yield _times("process start to complete list, median", "s", starts, 50)
    some = partial(_calls, count=math.ceil(counts.calls / _TURNS))
    calls = await _in_turns(pair, some, _TURNS)
    for percent in (50, 99):
        yield _times(f"Allocate, p{percent}", "ms", calls, percent)
    changes = await _in_turns(pair, _change, counts.changes)
    for percent in (50, 99):
        yield _times(f"device changed to changed list, p{percent}", "ms", changes, percent)
    restarts = await _in_turns(pair, _recover, counts.restarts)
    for percent in (50, 99):
        yield _times(f"kubelet.sock made anew to list, p{percent}", "ms", restarts, percent)


async def _in_turns(pair: tuple[Side, Side], take: Take, count: int) -> list[list[float]]:
    taken: dict[Side, list[float]] = {side: [] for side in pair}
    left = set(pair)
    for _ in range(count):
        for side in [side for side in pair if side in left]:
            try:
                taken[side] += await take(side)
            except NotJudgedError:
                left.remove(side)
            if taken[side].count(math.inf) >= _ENOUGH:
                left.discard(side)
    return list(taken.values())


def _times(name: str, unit: str, taken: list[list[float]], percent: int) -> Comparison:
    scale = 1000 if unit == "ms" else 1
    theirs, ours = (_measured([scale * time for time in times], percent) for times in taken)
    return Comparison(name, unit, theirs, ours)


def _measured(times: list[float], percent: int) -> Measured:
    if not times:
        return NOT_MEASURED
    time = percentile(times, percent)
    return NEVER if math.isinf(time) else time


async def _start(side: Side) -> list[float]:
    return [await side.start()]


async def _recover(side: Side) -> list[float]:
    return [await side.recover()]


async def _change(side: Side) -> list[float]:
    if side.change is None or side.undo is None:
        raise NotJudgedError("nobody has said how to change a device")
    try:
        lost = await side.alter(side.change)
        await pause(_APART_SECONDS)
        found = await side.alter(side.undo)
        await pause(_APART_SECONDS)
    except BaseException:
        with suppress(Broken):
            await side.undo()
        raise
    return [lost, found]


async def _calls(side: Side, count: int) -> list[float]:
    resource = one_with_devices(side.stage)
    target = f"unix:{side.stage.endpoint(resource)}"
    device = min(side.stage.healthy(resource))
    try:
        return await asyncio.to_thread(allocate_repeatedly, target, device, count)
    except grpc.RpcError as error:
        raise NotJudgedError("the call fails") from error


def _memory(side: Side) -> Measured:
    try:
        return resident(with_children(side.process.pid))
    except psutil.NoSuchProcess:
        return NOT_MEASURED


async def _idle(side: Side, seconds: float) -> Measured:
    try:
        return await cpu_share(side.process.pid, seconds)
    except psutil.NoSuchProcess:
        return NOT_MEASURED
