"""When to look at the host again."""

import asyncio
import posixpath
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from itertools import filterfalse
from typing import Final, Literal

from nodeplug.host.distant_watch import DistantWatch
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.host.uevents import Resync, Uevent
from nodeplug.host.watch import Changed
from nodeplug_custom.globs import Place, Step
from nodeplug_custom.interest import Interest
from nodeplug_custom.nearness import is_near
from nodeplug_custom.settings import CustomSettings

# The first event is answered at once; those of a burst are gathered for so long.
_GATHER_SECONDS: Final = 0.010
# After so much CPU time spent on looks, the pause between them is so many times that of one.
_STORM_SECONDS: Final = 0.5
_LOOKS_APART: Final = 4.0

Events = AsyncIterator[Uevent | Resync] | AsyncIterator[Changed | Resync]


class Changes:
    """Tells of events at places that matter. Made by `changes`; `changed` may be set by others."""

    def __init__(
        self,
        root: HostRoot,
        sources: tuple[Events, SteadyWatch, DistantWatch],
        interest: Interest,
        pause: float,
        changed: asyncio.Event,
    ) -> None:
        uevents, self._watch, self._distant = sources
        self.changed = changed
        self._root = root
        self._interest = interest
        self._sources: tuple[Events, ...] = (uevents, aiter(self._watch), aiter(self._distant))
        self._reconcile_seconds = pause or None
        self._gather_seconds = _GATHER_SECONDS
        self._spent = self._noted = 0.0
        self._steps: dict[str, list[Step]] = {}
        self._looked = 0.0
        self._readers: set[asyncio.Task[None] | asyncio.Task[Literal[True]]] = set()

    def follow(self, places: Collection[Place]) -> bool:
        """Wait for these places from now on; return whether a directory is new among them.

        A new one was not watched while it was looked at: look again. One whose file system may
        hang is watched some time later, and tells then.
        """
        before, self._steps = self._steps.keys(), {}
        for place in places:
            self._steps.setdefault(place.directory, []).append(place.step)
        for directory in before - self._steps.keys():
            watch = self._watch if is_near(directory) else self._distant
            watch.remove(self._root.path(directory))
        new = self._steps.keys() - before
        for directory in filterfalse(is_near, new):
            self._distant.add(self._root.path(directory))
        for directory in filter(is_near, new):
            self._watch.add(self._root.path(directory))
        self._looked = asyncio.get_running_loop().time()
        return any(map(is_near, new))

    def took(self, seconds: float) -> None:
        """Note the CPU time of a look: a storm of events costs a fifth of a core over time."""
        now = asyncio.get_running_loop().time()
        self._spent = max(0.0, self._spent - (now - self._noted) / (1 + _LOOKS_APART)) + seconds
        self._noted = now
        storm = self._spent > _STORM_SECONDS
        self._gather_seconds = max(_GATHER_SECONDS, _LOOKS_APART * seconds if storm else 0.0)

    async def wait(self) -> None:
        """Return when something may have changed, or the time for a look without cause has come."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._reconcile_seconds):
                await asyncio.create_task(self._change())
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(self._looked + self._gather_seconds - now)
        self.changed.clear()

    async def _change(self) -> None:
        change = asyncio.create_task(self.changed.wait())
        try:
            while not change.done():
                waiting = {change, *self._readers}
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                self._readers -= done
                for each in done:
                    each.result()
        finally:
            change.cancel()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """Take note of events from entry to exit, during looks, too."""
        self._readers = {asyncio.create_task(self._read(each)) for each in self._sources}
        readers = [*self._readers]
        try:
            yield
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    async def _read(self, events: Events) -> None:
        async for event in events:
            if self._matters(event):
                self.changed.set()

    def _matters(self, event: Uevent | Changed | Resync) -> bool:
        if isinstance(event, Resync):
            self._interest.events_were_lost()
            return True
        if isinstance(event, Changed):
            directory, name = self._root.to_host(event.directory), event.name
        elif self._interest.concerns(event):
            return True
        else:
            directory, name = posixpath.split(event.devname)
        return any(step.matches(name) for step in self._steps.get(directory, ()))


@asynccontextmanager
async def changes(
    host: Host, reconcile_seconds: float, interest: Interest | None = None
) -> AsyncIterator[Changes]:
    """Listen to the kernel's device events and to changes of directories, entry to exit."""
    concerns = interest or Interest(CustomSettings())
    changed = asyncio.Event()
    async with (
        host.uevents.subscribe() as uevents,
        SteadyWatch("devices by path") as watch,
        DistantWatch(changed.set) as distant,
    ):
        sources = uevents, watch, distant
        events = Changes(host.root, sources, concerns, reconcile_seconds, changed)
        async with events.reading():
            yield events
