"""The backend for any device: what is a device is said in the configuration."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from os.path import exists
from typing import Final

from msgspec.structs import asdict

from nodeplug.backend import Omissions
from nodeplug.host.calls import call
from nodeplug.host.host import Host
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.inventory import Inventory
from nodeplug_custom.changes import Changes, changes
from nodeplug_custom.devices import device_of
from nodeplug_custom.globs import Place, Step, place_of, why_gone
from nodeplug_custom.hardware_wanted import hardware_of
from nodeplug_custom.interest import Interest
from nodeplug_custom.joining import Joiner
from nodeplug_custom.memory import Memory
from nodeplug_custom.nearness import is_near
from nodeplug_custom.precedence import look
from nodeplug_custom.resource_envs import resource_envs
from nodeplug_custom.selection import Overlap, Selection, Sighting
from nodeplug_custom.settings import CustomSettings

_log = logging.getLogger("nodeplug.custom")

# What answers no sooner than this hangs: a dead network file system, say.
_LOOK_SECONDS: Final = 20.0
_CHECK_SECONDS: Final = 5.0
_LOGGED_OVERLAPS: Final = 10
_TORN_LOOKS: Final = 2


class CustomBackend:
    """Finds what the configuration selects, at the start and whenever the host changes."""

    def __init__(self, settings: CustomSettings, host: Host, memory: Memory) -> None:
        self.memory = memory
        self._settings = settings
        self._host = host
        self._top = str(host.root.root).rstrip("/")
        self._selection = Selection(settings, host.identities, memory.patience)
        self._joiner = Joiner(settings)
        self._devices: dict[Sighting, Device] = {}
        self._mounted: set[str] = set()
        self._overlaps: set[Overlap] = set()
        self._left_out = Omissions()
        self._interest = Interest(settings)
        self._hardware = hardware_of(settings, memory, self._interest, host.identities)
        self._changed = asyncio.Event()
        self._doubted = False

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield what is there, and again after every change."""
        last = None
        pause = self._settings.reconcile_seconds
        async with changes(self._host, pause, self._interest) as events:
            self._changed = events.changed
            self.memory.patience.wake = partial(_tell, asyncio.get_running_loop(), events.changed)
            self._hardware.begin(events.changed.set)
            torn = 0
            try:
                while True:
                    before = time.process_time()
                    inventory, places = await call(self._look, timeout=_LOOK_SECONDS)
                    # Waiting, for a file system that hangs or on a busy machine, makes no storm.
                    events.took(time.process_time() - before)
                    self._hardware.follow()
                    again = events.follow(places)
                    if self._is_torn(inventory, last, torn, events, again=again):
                        torn += 1
                        events.changed.clear()
                        continue
                    torn = 0
                    if inventory != last or self._doubted:
                        self._doubted, last = False, inventory
                        yield inventory
                    if not again:
                        await events.wait()
            finally:
                await self._hardware.close()

    @staticmethod
    def _is_torn(
        inventory: Inventory, last: Inventory | None, torn: int, events: Changes, *, again: bool
    ) -> bool:
        """Return whether a look saw something new while the host changed: half of it, perhaps.

        Its entries must be judged on one moment, or a device is first one entry's and then
        another's. A host that never stops to change is told of nevertheless.
        """
        news = last is not None and inventory != last
        return news and torn < _TORN_LOOKS and (again or events.changed.is_set())

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:
        """Join the values of several devices, after a look that all are still there.

        Where one is not, the next inventory tells at once what is.
        """
        try:
            await self._check(devices)
        except AllocationRefusedError:
            self._doubted = True
            self._changed.set()
            raise
        joined = self._joiner.edits(devices)
        more = resource_envs(resource, devices, self._hardware.sights)
        return replace(joined, envs={**more, **joined.envs}) if more else joined

    async def _check(self, devices: Sequence[Device]) -> None:
        wanted = [(device, path) for device in devices for path in self._paths(device)]
        if all(is_near(path) for _, path in wanted):
            self._check_present(wanted)  # a thread would cost 0.2 ms
        else:
            await call(self._check_present, wanted, timeout=_CHECK_SECONDS)

    def _look(self) -> tuple[Inventory, Collection[Place]]:
        # The look of a backend that was replaced may still be on its way, or hang.
        if not self.memory.looking.acquire(timeout=_LOOK_SECONDS):
            raise TimeoutError("an earlier look at the host hangs")
        try:
            view, hardware = look(self._host.root, self._selection, self._hardware)
            gone = self.memory.gone(view.sightings.values())
        finally:
            self.memory.looking.release()
        self._report(view.overlaps)
        elsewhere = {overlap.path for overlap in view.overlaps}
        absent = [each._replace(kind=None) for each in gone if each.path not in elsewhere]
        left_out = Omissions()
        by_path = self._devices_of([*view.sightings.values(), *absent], left_out)
        left_out |= self._hardware.left_out
        inventory = Inventory.of(
            _of_one_id_each([*by_path, *hardware], left_out),
            resources=[r.name for r in self._settings.resources if not r.named_by_device],
        )
        left_out.tell(_log, self._left_out)
        self._left_out = left_out
        nodes = {node.host_path for device in hardware for node in device.edits.nodes}
        database = {Place("/run/udev/data", Step("*"))} if self._interest.udev_database else set()
        told = replace(inventory, left_out=left_out)
        places = {*view.places, *self._hardware.places, *map(place_of, nodes), *database}
        return told, places

    def _devices_of(self, sightings: Sequence[Sighting], left_out: Omissions) -> Collection[Device]:
        before, self._devices = self._devices, {}
        for seen in sightings:
            if seen in before:
                self._devices[seen] = before[seen]
            elif entry := self._selection.entry(seen.path):
                with left_out.alone(seen.path):
                    self._devices[seen] = device_of(entry, seen)
                    if not entry.device.is_node:
                        self._mounted.add(seen.id)
        return self._devices.values()

    def _report(self, overlaps: set[Overlap]) -> None:
        """Log the overlaps that were not there before."""
        new, self._overlaps = overlaps - self._overlaps, overlaps
        if new:
            some = [asdict(each) for each in islice(new, _LOGGED_OVERLAPS)]
            facts = {"count": len(new), "some": some}
            _log.info("devices selected twice", extra={"nodeplug": facts})

    def _check_present(self, wanted: Sequence[tuple[Device, str]]) -> None:
        for device, path in wanted:
            if self._is_by_path(device):
                problem = why_gone(self._top, path)
            else:
                problem = "" if exists(f"{self._top}{path}") else "is not present"  # noqa: PTH110 - far quicker
            if problem:
                text = f"{path} of device {device.id} {problem}"
                raise AllocationRefusedError(text, [device.id])

    def _is_by_path(self, device: Device) -> bool:
        sight = self._hardware.sights.get(device.id)
        return sight is None or not sight.unit.findings

    def _paths(self, device: Device) -> Sequence[str]:
        """Return all that a device consists of, not what the configuration mounts besides."""
        sight = self._hardware.sights.get(device.id)
        if sight is not None:
            common = (each.path for each in sight.resource.nodes)
            return [*(node.host_path for node in sight.unit.nodes), *common]
        mounts = device.edits.mounts[: device.id in self._mounted]
        return [*(n.host_path for n in device.edits.nodes), *(m.host_path for m in mounts)]


def _of_one_id_each(devices: Sequence[Device], left_out: Omissions) -> Collection[Device]:
    """Return the devices less those whose id is that of another before them."""
    found: dict[str, Device] = {}
    for device in devices:
        if found.setdefault(device.id, device) is not device:
            left_out[device.id] = f"its id is that of a device of {found[device.id].resource}, too"
    return found.values()


def _tell(loop: asyncio.AbstractEventLoop, changed: asyncio.Event) -> None:
    """Set an event of a loop that may have ended, from another thread."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(changed.set)
