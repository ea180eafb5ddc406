"""Watching directories on file systems that may hang."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Self, TypeVarTuple

from nodeplug.host.inbox import Inbox
from nodeplug.host.watch import Changed, PathWatch

_log = logging.getLogger("nodeplug.host")

Order = Callable[[PathWatch], None]
Args = TypeVarTuple("Args")


class DistantWatch:
    """A `PathWatch` on a thread of its own: a call that hangs there holds up no event loop.

    `async with DistantWatch(watched) as watch`. `add` and `remove` return at once; `watched` is
    called, on the event loop, when directories that were added are watched: look at them then.
    What cannot be watched is logged, and left to a slow look. The thread starts with the first
    directory; one that hangs is left to itself, at the end too.
    """

    def __init__(self, watched: Callable[[], None]) -> None:
        self._watched = watched
        self._inbox: Inbox[Changed] = Inbox()
        self._near = asyncio.get_running_loop()
        self._far: asyncio.AbstractEventLoop | None = None
        self._orders: asyncio.Queue[Order | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._order(None)
        self._inbox.close()

    def __aiter__(self) -> Inbox[Changed]:
        return self._inbox

    def add(self, directory: Path) -> None:
        """Watch a directory for all names, from some moment on."""
        if self._far is None:
            self._far = asyncio.new_event_loop()
            Thread(target=self._run, args=(self._far,), name="watch", daemon=True).start()
        self._order(lambda watch: self._add(watch, directory))

    def remove(self, directory: Path) -> None:
        """Watch a directory no more."""
        self._order(lambda watch: watch.remove(directory))

    def _order(self, order: Order | None) -> None:
        if self._far is not None:
            _call_soon(self._far, self._orders.put_nowait, order)

    def _run(self, far: asyncio.AbstractEventLoop) -> None:
        try:
            far.run_until_complete(self._serve())
        except OSError as error:
            _log.warning("directories not watched", extra={"nodeplug": {"error": str(error)}})
        finally:
            far.close()

    async def _serve(self) -> None:
        async with PathWatch() as watch:
            passing = asyncio.create_task(self._pass_on(watch))
            passing.add_done_callback(lambda _: self._orders.put_nowait(None))
            while (order := await self._orders.get()) is not None:
                order(watch)
            passing.cancel()
            with suppress(asyncio.CancelledError):
                await passing

    async def _pass_on(self, watch: PathWatch) -> None:
        async for change in watch:
            _call_soon(self._near, self._inbox.put, change)

    def _add(self, watch: PathWatch, directory: Path) -> None:
        try:
            watch.add(directory)
        except OSError as error:
            facts = {"directory": str(directory), "error": str(error)}
            _log.warning("directory not watched", extra={"nodeplug": facts})
        _call_soon(self._near, self._watched)


def _call_soon(
    loop: asyncio.AbstractEventLoop, function: Callable[[*Args], None], *args: *Args
) -> None:
    with suppress(RuntimeError):  # the loop has been closed
        loop.call_soon_threadsafe(function, *args)
