"""What lies between a reader on the event loop and the one task that consumes."""

import asyncio
from collections import deque
from typing import Generic, Self, TypeVar

from nodeplug.host.uevents import Resync

T = TypeVar("T")


class Inbox(Generic[T]):
    """A bounded queue that never blocks its writer; when full, all of it becomes one `Resync`.

    `put` and `close` belong to the event loop. One task iterates; it may be cancelled while it
    waits and go on later, and nothing is lost.
    """

    def __init__(self, limit: int = 1024) -> None:
        self._limit = limit
        self._items: deque[T | Resync] = deque()
        self._ready = asyncio.Event()
        self._closed = False
        self._error: Exception | None = None

    def put(self, item: T | Resync) -> None:
        """Add an item; a Resync, or any item to a full queue, takes the place of all in it."""
        if isinstance(item, Resync) or len(self._items) >= self._limit:
            self._items.clear()
            item = Resync()
        self._items.append(item)
        self._ready.set()

    def close(self, error: Exception | None = None) -> None:
        """End the iteration at once, with the error if there is one."""
        self._items.clear()
        self._closed, self._error = True, error
        self._ready.set()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T | Resync:
        while not self._items:
            if self._error is not None:
                raise self._error
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._items.popleft()
