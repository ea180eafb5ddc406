"""Blocking driver calls, kept off the event loop and out of the way of an exit."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

if TYPE_CHECKING:
    _Outcome = asyncio.Future[tuple[T | None, BaseException | None]]


async def call(function: Callable[[*Args], T], *args: *Args, timeout: float) -> T:  # noqa: ASYNC109 - the thread cannot be cancelled, so the limit is part of the call
    """Run a blocking function on a daemon thread of its own and return what it returns.

    An exception of the function is raised here. After `timeout` seconds, TimeoutError is raised
    and the thread is left behind: its late result is dropped, and neither the loop nor the end
    of the process waits for it. A caller that repeats a call must bound how many it leaves
    behind: each hung one costs a thread. `Lane` does.
    """
    async with asyncio.timeout(timeout):
        outcome = await _begun(function, args)
    return _result(outcome)


class Lane:
    """Blocking calls that never overlap: each begins when the one before has come to its end.

    So what is written last is what was asked for last, whoever gave up waiting. One that hangs
    costs a thread, however many come after it: until it ends, each of those raises TimeoutError,
    the first after its timeout, the others at once. What is cancelled while it waits never begins.
    """

    def __init__(self) -> None:
        self._free = asyncio.Lock()
        self._running: _Outcome[Any] | None = None
        self._late: _Outcome[Any] | None = None

    @property
    def hangs(self) -> bool:
        """Whether a call has not come to its end in time, nor since."""
        return self._running is not None and self._running is self._late

    async def call(self, function: Callable[[*Args], T], *args: *Args, timeout: float) -> T:  # noqa: ASYNC109 - see above
        """Do what `call` does, when it is this call's turn; waiting for it counts."""
        if self.hangs:
            raise TimeoutError("an earlier call hangs")
        try:
            async with asyncio.timeout(timeout):
                outcome = await asyncio.shield(await self._begin(function, args))
        except TimeoutError:
            self._late = self._running
            raise
        return _result(outcome)

    async def _begin(self, function: Callable[[*Args], T], args: tuple[*Args]) -> "_Outcome[T]":
        await self._free.acquire()
        try:
            self._running = done = _begun(function, args)
        except RuntimeError:  # there are too many threads
            self._free.release()
            raise
        done.add_done_callback(self._ended)
        return done

    def _ended(self, _: object) -> None:
        self._running = None
        self._free.release()


def _begun(function: Callable[[*Args], T], args: tuple[*Args]) -> "_Outcome[T]":
    loop = asyncio.get_running_loop()
    done: _Outcome[T] = loop.create_future()

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


def _result(outcome: tuple[T | None, BaseException | None]) -> T:
    result, error = outcome
    if error is not None:
        raise error
    return result  # type: ignore[return-value]
