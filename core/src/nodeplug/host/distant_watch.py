"""Watching directories on file systems that may hang."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self, TypeVarTuple

from nodeplug.host.fallbacks import fall_back, forget, recover
from nodeplug.host.inbox import Inbox
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.host.watch import Changed

Order = Callable[[SteadyWatch], None]
Args = TypeVarTuple("Args")

_RETRY_SECONDS = 10.0


class DistantWatch:
    """A `SteadyWatch` on a thread of its own: a call that hangs there holds up no event loop.

    `async with DistantWatch(watched) as watch`. `add` and `remove` return at once; `watched` is
    called, on the event loop, when directories that were added are watched: look at them then.
    The thread starts with the first directory; one that hangs is left to itself, at the end too.
    `name` is what `fallbacks` calls it.
    """

    def __init__(
        self, watched: Callable[[], None], name: str = "file systems that may hang"
    ) -> None:
        self._watched = watched
        self._name = name
        self._inbox: Inbox[Changed] = Inbox()
        self._near = asyncio.get_running_loop()
        self._far: asyncio.AbstractEventLoop | None = None
        self._retries: list[asyncio.TimerHandle] = []
        self._orders: asyncio.Queue[Order | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for retry in self._retries:
            retry.cancel()
        forget(f"watch of {self._name}")
        self._order(None)
        self._inbox.close()

    def __aiter__(self) -> Inbox[Changed]:
        return self._inbox

    def add(self, directory: Path, names: frozenset[str] | None = None) -> None:
        """Watch a directory for some names, or all, from some moment on."""
        if self._far is None:
            try:
                self._far = _begun(self._run)
            except (OSError, RuntimeError) as error:  # too many files or threads
                fall_back(f"watch of {self._name}", "directory not watched", str(error))
                again = self._near.call_later(_RETRY_SECONDS, self.add, directory, names)
                self._retries.append(again)
                return
            recover(f"watch of {self._name}")
        self._order(lambda watch: self._add(watch, directory, names))

    def remove(self, directory: Path) -> None:
        """Watch a directory no more."""
        self._order(lambda watch: watch.remove(directory))

    def _order(self, order: Order | None) -> None:
        if self._far is not None:
            _call_soon(self._far, self._orders.put_nowait, order)

    def _run(self, far: asyncio.AbstractEventLoop) -> None:
        try:
            far.run_until_complete(self._serve())
        finally:
            far.close()

    async def _serve(self) -> None:
        async with SteadyWatch(self._name) as watch:
            passing = asyncio.create_task(self._pass_on(watch))
            passing.add_done_callback(lambda _: self._orders.put_nowait(None))
            while (order := await self._orders.get()) is not None:
                order(watch)
            passing.cancel()
            with suppress(asyncio.CancelledError):
                await passing

    async def _pass_on(self, watch: SteadyWatch) -> None:
        async for change in watch:
            _call_soon(self._near, self._inbox.put, change)

    def _add(self, watch: SteadyWatch, directory: Path, names: frozenset[str] | None) -> None:
        watch.add(directory, names)
        _call_soon(self._near, self._watched)


def _begun(run: Callable[[asyncio.AbstractEventLoop], None]) -> asyncio.AbstractEventLoop:
    far = asyncio.new_event_loop()
    try:
        Thread(target=run, args=(far,), name="watch", daemon=True).start()
    except RuntimeError:
        far.close()
        raise
    return far


def _call_soon(
    loop: asyncio.AbstractEventLoop, function: Callable[[*Args], None], *args: *Args
) -> None:
    with suppress(RuntimeError):  # the loop has been closed
        loop.call_soon_threadsafe(function, *args)
