"""Claims about blocking driver calls."""

import asyncio
import subprocess
import sys
import threading
import time

import pytest

from nodeplug.host.calls import call
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
