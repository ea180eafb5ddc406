"""Claims about blocking driver calls."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from nodeplug.host.calls import Lane, call
from support.timed import on_this_machine, timed


async def test_the_result_comes_back() -> None:
    """What the function returns is what the caller gets."""
    assert await call(divmod, 7, 2, timeout=60) == (3, 1)


async def test_the_exception_comes_back() -> None:
    """What the function raises is raised at the caller."""
    with pytest.raises(ZeroDivisionError):
        await call(divmod, 1, 0, timeout=60)


async def test_even_stop_iteration_comes_back_as_an_error() -> None:
    """The one exception that no future can carry does not turn into a hang."""
    empty: list[int] = []
    with pytest.raises(RuntimeError, match="StopIteration"):
        await call(next, iter(empty), timeout=60)


async def test_the_loop_runs_on_while_a_call_blocks() -> None:
    """A call that can only end when the loop does something ends."""
    gate = threading.Event()
    asyncio.get_running_loop().call_soon(gate.set)
    assert await call(gate.wait, timeout=60)


@timed
async def test_a_hanging_call_times_out_in_time() -> None:
    """The caller is free after its timeout, whatever the driver does."""
    gate = threading.Event()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        await call(gate.wait, timeout=0.05)
    gate.set()
    assert time.monotonic() - started < on_this_machine(1)


async def test_a_late_result_is_dropped() -> None:
    """A call that returns after its timeout disturbs nothing on the loop."""
    gate = threading.Event()
    noise: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: noise.append(context))
    with pytest.raises(TimeoutError):
        await call(gate.wait, timeout=0.01)
    gate.set()
    await call(_join_others, timeout=60)
    await asyncio.sleep(0)
    assert noise == []


def _join_others() -> None:
    for thread in threading.enumerate():
        if thread.name == "call-wait":
            thread.join()


def test_a_result_after_the_loop_has_closed_is_dropped() -> None:
    """A call that outlives the loop ends without a traceback (warnings are errors here)."""
    gate = threading.Event()

    async def leave() -> None:
        with pytest.raises(TimeoutError):
            await call(gate.wait, timeout=0.01)

    asyncio.run(leave())
    left = [thread for thread in threading.enumerate() if thread.name == "call-wait"]
    gate.set()
    for thread in left:
        thread.join()
    assert left


def test_a_hanging_call_does_not_keep_the_process() -> None:
    """A process leaves at once although a driver call never returns."""
    script = (
        "import asyncio, contextlib, threading\n"
        "from nodeplug.host.calls import call\n"
        "async def main():\n"
        "    with contextlib.suppress(TimeoutError):\n"
        "        await call(threading.Event().wait, timeout=0.01)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stderr == b""


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


async def test_an_exception_leaves_a_lane_free() -> None:
    """The next call has its turn."""
    lane = Lane()
    with pytest.raises(ZeroDivisionError):
        await lane.call(divmod, 1, 0, timeout=60)
    assert await lane.call(divmod, 7, 2, timeout=60) == (3, 1)
