"""Claims about blocking calls that come one after another."""

import asyncio
import threading

import pytest

from nodeplug.host.calls import call
from nodeplug.host.lane import Lane


def _join_others() -> None:
    for thread in threading.enumerate():
        if thread.name == "call-wait":
            thread.join()


async def _given_up(lane: Lane, gate: threading.Event) -> None:
    """Begin a call that waits for a gate, and leave it."""
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        gate.wait()

    task = asyncio.create_task(lane.call(wait, timeout=60))
    await call(begun.wait, timeout=60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_calls_on_a_lane_never_overlap() -> None:
    """One that nobody waits for any more comes to its end before the next begins."""
    lane, gate, order = Lane(), threading.Event(), list[str]()

    def first() -> None:
        gate.wait()
        order.append("first")

    task = asyncio.create_task(lane.call(first, timeout=60))
    await asyncio.sleep(0)
    task.cancel()
    second = asyncio.create_task(lane.call(order.append, "second", timeout=60))
    await asyncio.sleep(0)
    gate.set()
    await second
    assert order == ["first", "second"]


async def test_a_call_that_is_given_up_before_its_turn_never_begins() -> None:
    """What it would have done is out of date."""
    lane, gate, done = Lane(), threading.Event(), list[str]()
    await _given_up(lane, gate)
    with pytest.raises(TimeoutError):
        await lane.call(done.append, "late", timeout=0.01)
    gate.set()
    await call(_join_others, timeout=60)
    assert done == []


async def test_a_call_that_hangs_costs_a_lane_one_thread() -> None:
    """However many come after it, and they do not wait for long."""
    lane, gate = Lane(), threading.Event()
    before = threading.active_count()
    with pytest.raises(TimeoutError):
        await lane.call(gate.wait, timeout=0.01)
    for _ in range(100):
        with pytest.raises(TimeoutError, match="an earlier call hangs"):
            await lane.call(gate.wait, timeout=60)
    assert (lane.hangs, threading.active_count()) == (True, before + 1)
    gate.set()
    while lane.hangs:  # noqa: ASYNC110 - its end is told to the loop, not to us
        await asyncio.sleep(0)
    assert await lane.call(divmod, 7, 2, timeout=60) == (3, 1)


async def test_what_is_seen_to_is_done_however_late() -> None:
    """Nobody waits for it behind a call that hangs, and it has its turn afterwards."""
    lane, gate, done = Lane(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    with pytest.raises(TimeoutError):
        await lane.call(gate.wait, timeout=0.01)
    await lane.see_to(loop.call_soon_threadsafe, done.set, timeout=60)
    assert not done.is_set()
    gate.set()
    async with asyncio.timeout(60):
        await done.wait()


async def test_an_exception_leaves_a_lane_free() -> None:
    """The next call has its turn."""
    lane = Lane()
    with pytest.raises(ZeroDivisionError):
        await lane.call(divmod, 1, 0, timeout=60)
    assert await lane.call(divmod, 7, 2, timeout=60) == (3, 1)
