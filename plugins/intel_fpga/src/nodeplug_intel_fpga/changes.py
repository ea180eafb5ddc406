"""When to look at the host again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from nodeplug.host.host import Host
from nodeplug.host.uevents import Resync, Uevent
from nodeplug_intel_fpga.layouts import LAYOUTS

# The first event is answered at once; those of a burst are gathered for so long.
_GATHER_SECONDS: Final = 0.010

# PCI, processing accelerators: the class of all these cards.
_CLASS: Final = "1200"
# What begins the names of what the drivers make.
_NAMES: Final = tuple(f"/{name}" for each in LAYOUTS for name in (each.fme, each.port, each.folder))


class Changes:
    """Waits for events of cards, for a request, or for the time of a look without cause."""

    def __init__(
        self,
        events: AsyncIterator[Uevent | Resync],
        requested: asyncio.Event,
        poll_seconds: float,
    ) -> None:
        self._requested = requested
        self._events = events
        self._poll_seconds = poll_seconds
        self._looked = 0.0

    async def wait(self) -> None:
        """Return when it is time to look."""
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read())
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._requested.wait()
            await asyncio.sleep(self._looked + _GATHER_SECONDS - asyncio.get_running_loop().time())
            reader.cancel()
        self._looked = asyncio.get_running_loop().time()
        self._requested.clear()

    async def _read(self) -> None:
        async for event in self._events:
            if isinstance(event, Resync) or concerns_cards(event):
                self._requested.set()


def concerns_cards(event: Uevent) -> bool:
    """Whether an event is of a card or of what a driver makes of it."""
    of_class = event.properties.get("PCI_CLASS", "").zfill(6).startswith(_CLASS)
    return of_class or any(name in event.devpath for name in _NAMES)


@asynccontextmanager
async def changes(
    host: Host, requested: asyncio.Event, poll_seconds: float
) -> AsyncIterator[Changes]:
    """Listen to the kernel from entry to exit; `requested` is set to ask for a look."""
    async with host.uevents.subscribe() as events:
        yield Changes(events, requested, poll_seconds)
