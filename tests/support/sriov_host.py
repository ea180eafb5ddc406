"""A host made of files for the SR-IOV network backend, and shorthand to look at it."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.host.host import Host, open_host
from nodeplug.testing.patience import patience
from nodeplug.values.device import Device
from nodeplug.values.edits import DeviceNode
from nodeplug.values.inventory import Inventory
from nodeplug_sriov_net.adapters import function_place, intel_adapter
from nodeplug_sriov_net.backend import SriovNetBackend
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.settings import SriovNetSettings
from nodeplug_sriov_net.trees import Tree

POOL = "example.com/pool"


class FakeHost:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tree = Tree(folder)

    @property
    def host(self) -> Host:
        return open_host(str(self.folder), str(self.folder / "uevents.sock"))

    def backend(self, wanted: SriovNetSettings, memory: Memory | None = None) -> SriovNetBackend:
        return SriovNetBackend(wanted, self.host, memory or Memory())

    async def devices(self, *pools: Mapping[str, Any]) -> dict[str, Device]:
        """Return what the pools hold; one without a name is `POOL`."""
        return dict((await discover(self.backend(settings(*pools)))).devices)

    async def chosen(self, **selector: Any) -> list[str]:
        """Return the ids of what a selector chooses among network functions."""
        return [*await self.devices({"selectors": [selector]})]

    def one_function(self, driver: str) -> str:
        """Make an adapter with one virtual function; return the function's place."""
        intel_adapter(self.tree, 0, functions=1, driver=driver)
        return function_place(0, 0)


def settings(*pools: Mapping[str, Any], **others: Any) -> SriovNetSettings:
    named = [{"name": POOL, **pool} for pool in pools]
    return msgspec.convert({"reconcileSeconds": 0, "pools": named, **others}, SriovNetSettings)


async def discover(backend: SriovNetBackend) -> Inventory:
    async with aclosing(backend.inventories()) as inventories:
        return await anext(inventories)


def nodes(device: Device) -> list[tuple[str, str, str]]:
    """Return host path, container path and permissions of each node."""
    return [_node(each) for each in device.edits.nodes]


def _node(node: DeviceNode) -> tuple[str, str, str]:
    return node.host_path, node.container_path, node.permissions


def reasons(inventory: Inventory) -> dict[str, str]:
    return {device.id: device.reason for device in inventory.devices.values()}


@asynccontextmanager
async def watching(
    backend: SriovNetBackend,
) -> AsyncIterator[AsyncGenerator[Inventory, None]]:
    """Give the inventories after the first."""
    async with patience(10), aclosing(backend.inventories()) as inventories:
        await anext(inventories)
        yield inventories


async def until(
    inventories: AsyncGenerator[Inventory, None], wanted: Callable[[Inventory], bool]
) -> Inventory:
    while not wanted(inventory := await anext(inventories)):
        pass
    return inventory
