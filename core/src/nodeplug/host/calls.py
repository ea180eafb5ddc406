"""Blocking driver calls, kept off the event loop and out of the way of an exit."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

if TYPE_CHECKING:
    Outcome = asyncio.Future[tuple[T | None, BaseException | None]]


async def call(function: Callable[[*Args], T], *args: *Args, timeout: float) -> T:  # noqa: ASYNC109 - the thread cannot be cancelled, so the limit is part of the call
    """Run a blocking function on a daemon thread of its own and return what it returns.

    An exception of the function is raised here. After `timeout` seconds, TimeoutError is raised
    and the thread is left behind: its late result is dropped, and neither the loop nor the end
    of the process waits for it. A caller that repeats a call must bound how many it leaves
    behind: each hung one costs a thread. `nodeplug.host.lane.Lane` does.
    """
    async with asyncio.timeout(timeout):
        outcome = await begun(function, args)
    return result_of(outcome)


def begun(function: Callable[[*Args], T], args: tuple[*Args]) -> "Outcome[T]":
    """Begin a call on a daemon thread; raise RuntimeError where there are too many."""
    loop = asyncio.get_running_loop()
    done: Outcome[T] = loop.create_future()

    def deliver(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((result, error))

    def run() -> None:
        result, error = None, None
        try:
            result = function(*args)
        except BaseException as raised:  # noqa: BLE001 - raised again on the loop
            error = raised
        with suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(deliver, result, error)

    name = getattr(function, "__name__", "function")
    Thread(target=run, name=f"call-{name}", daemon=True).start()
    return done


def result_of(outcome: tuple[T | None, BaseException | None]) -> T:
    """Return what a call has returned, or raise what it has raised."""
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
