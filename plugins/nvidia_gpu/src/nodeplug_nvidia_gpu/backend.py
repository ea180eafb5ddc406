"""The backend for NVIDIA GPUs."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from nodeplug.backend import HostFile, Measurement, Offered, Omissions
from nodeplug.host.fallbacks import Fallbacks
from nodeplug.host.host import Host
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.inventory import Inventory
from nodeplug_nvidia_gpu.changes import Changes, changes
from nodeplug_nvidia_gpu.devices import Maker
from nodeplug_nvidia_gpu.drivers import driver_for
from nodeplug_nvidia_gpu.facts import NO_INSTANCE, Event, Gpu
from nodeplug_nvidia_gpu.injection import Injection
from nodeplug_nvidia_gpu.memory import Memory
from nodeplug_nvidia_gpu.own_cdi import OwnSpecs
from nodeplug_nvidia_gpu.rules import Rules
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings
from nodeplug_nvidia_gpu.surroundings import Surroundings, Surveyor
from nodeplug_nvidia_gpu.telemetry import measurements
from nodeplug_nvidia_gpu.threads import Threads
from nodeplug_nvidia_gpu.units import units
from nodeplug_nvidia_gpu.view import View

_log = logging.getLogger("nodeplug.nvidia_gpu")

# A driver that takes longer to answer at first is taken for absent until it does.
_FIRST_SECONDS: Final = 4.0


class NvidiaGpuBackend:
    """Serves what the driver lists, and hears of what becomes of it."""

    def __init__(self, settings: NvidiaGpuSettings, host: Host, memory: Memory) -> None:
        self.memory = memory
        self._settings = settings
        self._host = host
        self._rules = Rules.of(settings.health, os.environ)
        self._injection = Injection(settings)
        self._maker = Maker(settings, self._injection)
        self._specs = OwnSpecs(settings, self._injection)
        self._driver = driver_for(settings, host.root)
        self._news = asyncio.Event()
        self._threads: Threads | None = None
        self._failure: Exception | None = None
        self._left_out = Omissions()
        self._fallbacks = Fallbacks()

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield what the driver lists, and again after every change."""
        async with self._watching() as changed:
            if self.memory.view is None:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_FIRST_SECONDS):
                        await changed.wait(self._news)
            last = None
            while True:
                inventory = self._inventory()
                if inventory != last:
                    last = inventory
                    yield inventory
                await changed.wait(self._news)

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:
        """Name all devices to the container runtime."""
        return self._injection.of_set(resource, devices, self.memory.around)

    def host_files(self, offers: Mapping[str, Sequence[Device]]) -> Sequence[HostFile]:  # noqa: ARG002 - names are the same under every resource
        """Return CDI specifications for devices that the host has none for."""
        view = self.memory.view or View()
        served, _ = units(view.gpus, self._settings.mig_strategy)
        return self._specs.files(served, self.memory.around)

    def labels(self, offers: Mapping[str, Offered]) -> Mapping[str, str]:
        """Return what GPU feature discovery says of the node."""
        from nodeplug_nvidia_gpu.labels import Node, labels  # noqa: PLC0415 - where it is wanted

        view, around = self.memory.view or View(), self.memory.around
        kinds = {place.kind for place in around.places.values()}
        node = Node(view.gpus, view.versions, around.machine, kinds, self.memory.started)
        return labels(offers, self._settings.mig_strategy, node)

    async def measure(self) -> Sequence[Measurement]:
        """Return temperature, power, memory, load and errors of GPUs, memory of slices."""
        view = self.memory.view
        if view is None or self._threads is None:
            return []
        gpus = [gpu for gpu in view.gpus if not view.conditions.get(gpu.uuid)]
        found = await self._threads.measure(gpus)
        return [*measurements(found)]

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[Changes]:
        threads = Threads(
            self._driver,
            Surveyor(self._host.root, self._settings),
            self,
            self._settings.health.poll_seconds,
        )
        async with changes(self._host, self._driver.watched(), threads.look) as changed:
            self._threads = threads
            threads.start(self.memory.view)
            try:
                yield changed
            finally:
                self._threads = None
                threads.stop()
                self._fallbacks.close()

    @property
    def healing(self) -> bool:
        """Whether a GPU is sick, whom time may heal."""
        return self.memory.book.troubled

    def see(self, view: View, around: Surroundings) -> None:
        """Take what a look at the driver has shown."""
        if self._threads is None:
            return
        self._report(view)
        self.memory.view, self.memory.around = view, around
        self.memory.book.see(view, self._rules, time.monotonic())
        self.memory.book.forget(view.conditions)
        self._news.set()

    def hear(self, event: Event) -> None:
        """Take what the driver told of."""
        view = self.memory.view
        if self._threads is None or view is None:
            return
        event = _of_gpu(event, view)
        if event.uuid not in view.conditions:
            self._threads.look()
            return
        matters = self.memory.book.hear(event, self._rules, time.monotonic())
        facts = {"gpu": event.uuid, "xid": event.xid, "matters": matters}
        _log.warning("event of a GPU", extra={"nodeplug": facts})
        if matters:
            self._news.set()

    def fail(self, error: Exception) -> None:
        """End the inventories with an error, so that core starts the backend anew."""
        self._failure = error
        self._news.set()

    def _inventory(self) -> Inventory:
        if self._failure is not None:
            raise self._failure
        view = self.memory.view or View()
        inventory = self._maker.inventory(view, self.memory.around, self.memory.book)
        before, self._left_out = self._left_out, Omissions(inventory.left_out)
        self._left_out.tell(_log, before)
        return inventory

    def _report(self, view: View) -> None:
        """Tell who does not answer, and log what was not so at the last look."""
        before = self.memory.view or View()
        hangs = ("a device does not answer", "calls of the driver hang")
        self._fallbacks.tell({f"nvidia_gpu {gpu}": hangs for gpu in view.silent})
        if view.problem and view.problem != before.problem:
            facts = {"problem": view.problem}
            _log.warning("driver not usable", extra={"nodeplug": facts})
        failed = {gpu.uuid: gpu.failed for gpu in before.gpus}
        for gpu in view.gpus:
            if gpu.failed and gpu.failed != failed.get(gpu.uuid):
                facts = {"gpu": gpu.uuid, "unknown": ", ".join(gpu.failed)}
                _log.warning("facts of a GPU not told", extra={"nodeplug": facts})


def _of_gpu(event: Event, view: View) -> Event:
    """Return the event as one of a GPU and of a slice that it has, else of the whole GPU.

    A driver may tell of a slice itself; what it says of an instance that nobody knows concerns all.
    """
    for gpu in view.gpus:
        for part in gpu.slices:
            if part.uuid == event.uuid:
                return _at(event, gpu, part.instance, part.compute_instance)
        if gpu.uuid == event.uuid and event.instance not in {p.instance for p in gpu.slices}:
            return _at(event, gpu, NO_INSTANCE, NO_INSTANCE)
    return event


def _at(event: Event, gpu: Gpu, instance: int, compute_instance: int) -> Event:
    return Event(uuid=gpu.uuid, xid=event.xid, instance=instance, compute_instance=compute_instance)
