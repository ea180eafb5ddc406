"""A backend on its own simulator, and what the promises ask of it."""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from pathlib import Path
from typing import ClassVar, TypeVar

import msgspec

from nodeplug.backend import Backend, BackendSpec, Simulator
from nodeplug.host.host import Host, open_host
from nodeplug.testing.patience import patience
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

T = TypeVar("T")

# Generous: the promises to users are measured elsewhere; here a hang must end.
PATIENCE_SECONDS = 20.0


class Staged:
    """A backend by its spec; the folder stands for the host."""

    spec: ClassVar[BackendSpec]

    def backend(
        self, folder: Path, simulator: Simulator | None = None
    ) -> tuple[Backend, msgspec.Struct]:
        """Return the backend beside simulated hardware, and its settings."""
        simulator = simulator or self.spec.simulator(folder)
        settings = msgspec.convert(dict(simulator.settings), self.spec.settings)
        return self.spec.build(settings, host_in(folder), None), settings

    def allocatable(self, folder: Path) -> tuple[Backend, str, list[Device]]:
        """Return a backend that has looked, and a resource with its healthy devices."""
        simulator = self.spec.simulator(folder)
        backend, _ = self.backend(folder, simulator)
        inventory = run(first_inventory(backend))
        return backend, simulator.resource, healthy_devices(inventory, simulator.resource)


def run(work: Awaitable[T]) -> T:
    """Return what the work returns, in an event loop of its own; raise TimeoutError if it hangs."""

    async def limited() -> T:
        async with patience(PATIENCE_SECONDS):
            return await work

    return asyncio.run(limited())


def host_in(folder: Path) -> Host:
    """Return a host whose file trees and kernel events are in this folder."""
    return open_host(str(folder), str(folder / "uevents.sock"))


async def first_inventory(backend: Backend) -> Inventory:
    """Return what a backend finds first."""
    async with aclosing(backend.inventories()) as inventories:
        return await anext(inventories)


def healthy_devices(inventory: Inventory, resource: str) -> list[Device]:
    """Return a resource's devices that can be handed out."""
    return [d for d in inventory.devices.values() if d.resource == resource and d.healthy]
