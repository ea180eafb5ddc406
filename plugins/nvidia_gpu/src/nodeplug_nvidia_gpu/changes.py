"""What asks for a look at the driver before its time, and the wait for what a look has shown."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from nodeplug.host.host import Host
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.host.uevents import Resync, Uevent
from nodeplug.host.watch import Changed

# PCI: NVIDIA's vendor number, as uevents have it.
_VENDOR = "10DE:"

Events = AsyncIterator[Uevent | Resync] | AsyncIterator[Changed | Resync]


class Changes:
    """Waits for news; meanwhile, what the kernel tells of drivers and GPUs asks for looks."""

    def __init__(self, sources: tuple[Events, Events], look: Callable[[], None]) -> None:
        self._sources = sources
        self._look = look

    async def wait(self, news: asyncio.Event) -> None:
        """Return when there is news."""
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(self._read(each)) for each in self._sources]
            await news.wait()
            for reader in readers:
                reader.cancel()
        news.clear()

    async def _read(self, events: Events) -> None:
        async for event in events:
            if not isinstance(event, Uevent) or _matters(event):
                self._look()


def _matters(event: Uevent) -> bool:
    if event.subsystem == "module":
        return "/nvidia" in event.devpath
    return event.properties.get("PCI_ID", "").upper().startswith(_VENDOR)


@asynccontextmanager
async def changes(
    host: Host, watched: Mapping[Path, frozenset[str] | None], look: Callable[[], None]
) -> AsyncIterator[Changes]:
    """Listen to the kernel from entry to exit."""
    async with (
        host.uevents.subscribe(("pci", "module")) as uevents,
        SteadyWatch("NVIDIA's driver") as paths,
    ):
        for directory, names in watched.items():
            paths.add(directory, names)
        yield Changes((uevents, aiter(paths)), look)
