"""Making something once for all who ask for it at about the same time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

# However many ask, the agent has this much time for its own work between two.
STANDS_SECONDS = 1.0


class Shared(Generic[T]):
    """What `make` returns: made when it is asked for, and good for some seconds.

    Whoever asks while it is being made waits for the same one, and an error is shared, too. Who
    gives up waiting takes it from nobody.
    """

    def __init__(self, make: Callable[[], Awaitable[T]], seconds: float = STANDS_SECONDS) -> None:
        self._make = make
        self._seconds = seconds
        self._made: asyncio.Task[T] | None = None

    async def get(self) -> T:
        """Return it; raise what making it raised."""
        if self._made is None:
            self._made = asyncio.create_task(self._make_it())
            self._made.add_done_callback(self._let_it_stand)
        return await asyncio.shield(self._made)

    def forget(self) -> None:
        """Make another one next time; one that is being made is broken off."""
        if self._made is not None:
            self._made.cancel()
            self._made = None

    async def _make_it(self) -> T:
        return await self._make()

    def _let_it_stand(self, made: "asyncio.Task[T]") -> None:
        asyncio.get_running_loop().call_later(self._seconds, self._drop, made)

    def _drop(self, made: "asyncio.Task[T]") -> None:
        if self._made is made:
            self._made = None
