"""Blocking driver calls, kept off the event loop and out of the way of an exit."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

if TYPE_CHECKING:
    Start = Callable[[Callable[[], None], str], None]
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


def on_a_thread(run: Callable[[], None], name: str) -> None:
    """Run something on a daemon thread of its own; raise RuntimeError where there are too many."""
    Thread(target=run, name=name, daemon=True).start()


class Worker:
    """A daemon thread for calls that come often: it starts with the first and is kept."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._begin: Start = self._begin_first

    def __call__(self, run: Callable[[], None], name: str) -> None:
        """Run something after all that came before; raise as `on_a_thread` does."""
        self._begin(run, name)

    def close(self) -> None:
        """End the thread; what comes later has threads of its own."""
        self._orders.put(None)
        self._begin = on_a_thread

    def _begin_first(self, run: Callable[[], None], name: str) -> None:
        on_a_thread(self._work, name)
        self._begin = lambda run, _: self._orders.put(run)
        self._begin(run, name)

    def _work(self) -> None:
        while (run := self._orders.get()) is not None:
            run()


def begun(
    function: Callable[[*Args], T],
    args: tuple[*Args],
    start: "Start" = on_a_thread,
) -> "Outcome[T]":
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

    start(run, f"call-{getattr(function, '__name__', 'function')}")
    return done


def result_of(outcome: tuple[T | None, BaseException | None]) -> T:
    """Return what a call has returned, or raise what it has raised."""
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
