"""When to look at the host again, and at which functions."""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from nodeplug.host.host import Host
from nodeplug.host.uevents import Resync, Uevent

# The first event is answered at once; those of a burst are gathered for so long.
_GATHER_SECONDS: Final = 0.010
# The kernel announces some changes before they are complete: it counts virtual functions after
# their events (drivers/pci/iov.c), for one. What changed is looked at once more after so long.
_SETTLE_SECONDS: Final = 0.25
# Who speaks of functions, their drivers, network, RDMA and vDPA devices, and of shared nodes.
_SUBSYSTEMS: Final = (
    *("pci", "net", "auxiliary", "vfio", "vfio-dev", "uio", "vdpa", "vhost-vdpa", "misc"),
    *("infiniband", "infiniband_verbs", "infiniband_mad", "infiniband_cm"),
)
_ADDRESS: Final = re.compile(r"[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")

Events = AsyncIterator[Uevent | Resync]


class Changes:
    """Gathers what changed until somebody looks. Made by `changes`.

    `hears_links` says that somebody else tells of links that belong to no function. `probing` are
    the functions whose driver has not been bound yet as far as events tell: the kernel makes the
    link to a driver before the driver's probe, and tells of the bond after it (really_probe and
    driver_bound in drivers/base/dd.c).
    """

    def __init__(self, uevents: Events, reconcile_seconds: float) -> None:
        self._uevents = uevents
        self._reconcile_seconds = reconcile_seconds or None
        self._told = asyncio.Event()
        self._changed: set[str] | None = set()
        self._settling: set[str] = set()
        self._quiet = True
        self.hears_links = False
        self.probing: set[str] = set()
        self._looked = 0.0

    def mark(self, addresses: Iterable[str] | None = ()) -> None:
        """Take note of a change: of the functions at these addresses, of all for None."""
        if addresses is None:
            self._changed = None
        elif self._changed is not None:
            self._changed.update(addresses)
        self._told.set()

    async def wait(self, read: Collection[str]) -> Collection[str] | None:
        """Return the functions to read anew when something may have changed; None for all.

        `read` are those that were read anew just now.
        """
        self._looked = asyncio.get_running_loop().time()
        if not self._quiet:
            self._settling.update(read)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read())
            self._quiet = not await self._gathered()
            reader.cancel()
        changed, self._changed = self._changed, set()
        self._told.clear()
        if self._quiet:
            changed, self._settling = self._settling or None, set()
        return changed

    async def _gathered(self) -> bool:
        """Wait for a change and what comes with it, or until it is time to look without one."""
        with suppress(TimeoutError):
            pause = _SETTLE_SECONDS if self._settling else self._reconcile_seconds
            async with asyncio.timeout(pause):
                await self._told.wait()
        await asyncio.sleep(self._looked + _GATHER_SECONDS - asyncio.get_running_loop().time())
        return self._told.is_set()

    async def _read(self) -> None:
        async for event in self._uevents:
            if isinstance(event, Resync):
                self.probing.clear()
                self.mark(None)
                continue
            self._note_probe(event)
            if found := addresses_in(event.devpath):
                self.mark(found)
            elif event.subsystem != "net" or not self.hears_links:
                self.mark()

    def _note_probe(self, event: Uevent) -> None:
        # udev has the kernel repeat events at boot, which nothing follows.
        if event.subsystem != "pci" or "SYNTH_UUID" in event.properties:
            return
        if event.action in {"add", "unbind"}:
            self.probing.update(addresses_in(event.devpath))
        elif event.action in {"bind", "remove"}:
            self.probing.difference_update(addresses_in(event.devpath))


def addresses_in(devpath: str) -> Collection[str]:
    """Return the PCI function that a device is or belongs to, if there is one."""
    return _ADDRESS.findall(devpath)[-1:]


@asynccontextmanager
async def changes(host: Host, reconcile_seconds: float) -> AsyncIterator[Changes]:
    """Listen to the kernel's device events, entry to exit."""
    async with host.uevents.subscribe(_SUBSYSTEMS) as uevents:
        yield Changes(uevents, reconcile_seconds)
