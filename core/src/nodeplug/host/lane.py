"""Blocking calls one after another, such as those to one disk."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from nodeplug.host.calls import begun, on_a_thread, result_of

T = TypeVar("T")
Args = TypeVarTuple("Args")

if TYPE_CHECKING:
    from nodeplug.host.calls import Outcome, Start


class Lane:
    """Blocking calls that never overlap: each begins when the one before has come to its end.

    So what is written last is what was asked for last, whoever gave up waiting. One that hangs
    costs a thread, however many come after it: until it ends, each of those raises TimeoutError,
    the first after its timeout, the others at once. What is cancelled while it waits never begins.
    `start` is what a call runs on.
    """

    def __init__(self, start: "Start" = on_a_thread) -> None:
        self._start = start
        self._free = asyncio.Lock()
        self._running: Outcome[Any] | None = None
        self._late: Outcome[Any] | None = None
        self._due: set[asyncio.Task[None]] = set()

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
        return result_of(outcome)

    async def see_to(
        self,
        function: Callable[[*Args], object],
        *args: *Args,
        timeout: float,  # noqa: ASYNC109 - see above
    ) -> None:
        """Do what is to be done however late its turn comes; wait for its end only so long."""
        task = asyncio.create_task(self._done(function, args))
        self._due.add(task)
        task.add_done_callback(self._due.discard)
        await asyncio.wait({task}, timeout=0 if self.hangs else timeout)
        if task.done():
            task.result()
        else:
            self._late = self._running

    async def _done(self, function: Callable[[*Args], object], args: tuple[*Args]) -> None:
        result_of(await asyncio.shield(await self._begin(function, args)))

    async def _begin(self, function: Callable[[*Args], T], args: tuple[*Args]) -> "Outcome[T]":
        await self._free.acquire()
        try:
            self._running = done = begun(function, args, self._start)
        except RuntimeError:  # there are too many threads
            self._free.release()
            raise
        done.add_done_callback(self._ended)
        return done

    def _ended(self, _: object) -> None:
        self._running = None
        self._free.release()
