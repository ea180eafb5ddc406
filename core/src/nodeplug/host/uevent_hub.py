"""One event socket for all who listen."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Protocol

from nodeplug.host.fallbacks import fall_back, forget, recover
from nodeplug.host.inbox import Inbox
from nodeplug.host.uevents import Resync, Uevent

_log = logging.getLogger("nodeplug.host")

_NAME = "kernel events"
_RETRY_SECONDS = 10.0
# At most so many events are read before other work on the loop gets its turn.
_BATCH = 256


class Reader(Protocol):
    """An open socket that yields events."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable."""
        ...

    def read(self) -> Uevent | None:
        """Return the next event, or None where there is none yet; never wait.

        OSError or ValueError: something was lost or unreadable; reading can go on.
        """
        ...

    def close(self) -> None:
        """Close the socket."""
        ...


class UeventHub:
    """A `UeventSource` over one socket: opened with the first subscriber, closed with the last.

    Where the socket cannot be opened, that is a fallback: it is tried again, with the next
    subscriber and every 10 s, and each time all are told to look.
    """

    def __init__(self, open_reader: Callable[[], Awaitable[Reader]]) -> None:
        self._open_reader = open_reader
        self._opening = asyncio.Lock()
        self._reader: Reader | None = None
        self._inboxes: dict[Inbox[Uevent], frozenset[str]] = {}
        self._retrying: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def subscribe(
        self, subsystems: Collection[str] = ()
    ) -> AsyncIterator[AsyncIterator[Uevent | Resync]]:
        """Listen from entry to exit of the context; see `UeventSource`."""
        inbox: Inbox[Uevent] = Inbox()
        async with self._opening:
            await self._open()
            self._inboxes[inbox] = frozenset(subsystems)
        try:
            yield inbox
        finally:
            inbox.close()
            del self._inboxes[inbox]
            if not self._inboxes:
                self._close()

    async def _open(self) -> None:
        if self._reader is not None:
            return
        try:
            reader = await self._open_reader()
        except (OSError, RuntimeError) as error:  # no more files or threads
            fall_back(_NAME, "kernel events unavailable", str(error))
            self._retrying = self._retrying or asyncio.create_task(self._retry())
            return
        recover(_NAME)
        self._reader = reader
        asyncio.get_running_loop().add_reader(reader.fileno(), self._pump, reader)

    async def _retry(self) -> None:
        while self._reader is None:
            await asyncio.sleep(_RETRY_SECONDS)
            async with self._opening:
                await self._open()
            self._publish(Resync())
        self._retrying = None

    def _close(self) -> None:
        retrying, self._retrying = self._retrying, None
        if retrying is not None:
            retrying.cancel()
            forget(_NAME)
        reader, self._reader = self._reader, None
        if reader is not None:
            asyncio.get_running_loop().remove_reader(reader.fileno())
            reader.close()

    def _pump(self, reader: Reader) -> None:
        lost: Exception | None = None
        for _ in range(_BATCH):
            try:
                event = reader.read()
            except (OSError, ValueError) as error:
                lost = error
                continue
            if event is None:
                break
            self._publish(event)
        if lost is not None:
            _log.warning("kernel events lost", extra={"nodeplug": {"error": str(lost)}})
            self._publish(Resync())

    def _publish(self, item: Uevent | Resync) -> None:
        for inbox, wanted in self._inboxes.items():
            if isinstance(item, Resync) or not wanted or item.subsystem in wanted:
                inbox.put(item)
