"""A host made of files for the custom backend, and shorthand to look at it."""

import asyncio
import itertools
import os
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.host.host import Host, open_host
from nodeplug.host.nodes import see
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from nodeplug_custom.settings import CustomSettings
from support.needs import require

RESOURCE = "example.com/thing"


class FakeHost:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "uevents.sock"
        self._numbers = itertools.count(1)
        (folder / "dev").mkdir()

    @property
    def host(self) -> Host:
        return open_host(str(self.folder), str(self.socket))

    def path(self, host_path: str) -> Path:
        path = self.folder / host_path[1:]
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def node(self, host_path: str, kind: int = stat.S_IFCHR, number: str = "") -> None:
        """Make a device node, without a number given with one of its own."""
        require(os.geteuid() == 0, "making device nodes needs root")
        major, minor = number.split(":") if number else (240, next(self._numbers))
        os.mknod(self.path(host_path), kind | 0o600, os.makedev(int(major), int(minor)))

    def number(self, host_path: str) -> str:
        """Return the device number of a node as the key of hardware."""
        return see(self.path(host_path)).key

    def file(self, host_path: str) -> None:
        self.path(host_path).touch()

    def remove(self, host_path: str) -> None:
        self.path(host_path).unlink()


def settings(*devices: Mapping[str, Any], **others: Any) -> CustomSettings:
    """Return settings with one resource of files, polling off."""
    files = [{"type": "file"} | dict(each) for each in devices]
    return several({"name": RESOURCE, "devices": files} | others)


def several(*resources: Mapping[str, Any], reconcile: float = 0) -> CustomSettings:
    return msgspec.convert({"reconcileSeconds": reconcile, "resources": resources}, CustomSettings)


def backend(fake: FakeHost, wanted: CustomSettings, memory: Memory | None = None) -> CustomBackend:
    return CustomBackend(wanted, fake.host, memory or Memory())


async def discover(fake: FakeHost, wanted: CustomSettings) -> Inventory:
    async with aclosing(backend(fake, wanted).inventories()) as inventories:
        return await anext(inventories)


async def devices(fake: FakeHost, *entries: Mapping[str, Any], **others: Any) -> list[Device]:
    """Return the devices of one resource of files."""
    return [*(await discover(fake, settings(*entries, **others))).devices.values()]


class Following:
    """The inventories of a backend that, when one is given out, already waits for a change.

    Without that, a change could be found by a look that no event caused.
    """

    def __init__(self, inventories: AsyncGenerator[Inventory, None]) -> None:
        self._inventories = inventories
        self._next = asyncio.ensure_future(anext(inventories))

    @property
    def told(self) -> bool:
        """Whether another inventory is there."""
        return self._next.done()

    async def __anext__(self) -> Inventory:
        inventory = await self._next
        self._next = asyncio.ensure_future(anext(self._inventories))
        while not (self.told or _waits()):  # noqa: ASYNC110 - no event tells that one waits
            await asyncio.sleep(0)
        return inventory

    async def aclose(self) -> None:
        self._next.cancel()
        await asyncio.wait({self._next})
        await self._inventories.aclose()


def _waits() -> bool:
    coroutines = (task.get_coro() for task in asyncio.all_tasks())
    return any("Changes._change" in str(coroutine) for coroutine in coroutines)


@asynccontextmanager
async def watching(fake: FakeHost, wanted: CustomSettings) -> AsyncIterator[Following]:
    """Give the inventories after the first."""
    async with aclosing(Following(backend(fake, wanted).inventories())) as inventories:
        await anext(inventories)
        yield inventories


async def until(
    inventories: "Following | AsyncGenerator[Inventory, None]", wanted: Callable[[Inventory], bool]
) -> Inventory:
    while not wanted(inventory := await anext(inventories)):
        pass
    return inventory
