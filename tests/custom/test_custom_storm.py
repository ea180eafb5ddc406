"""A thousand devices under a storm of kernel events."""

import asyncio
import socket
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.testing.patience import patience
from nodeplug.values.inventory import Inventory
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from support.custom_host import RESOURCE, several
from support.hardware_tree import HardwareTree
from support.timed import on_this_machine, timed

COUNT = 1000
WANTED = several({"name": RESOURCE, "hardware": [{"udev": {"subsystem": "tty"}}]})
GONE = ("ttyX3", "ttyX500", "ttyX999")


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    tree = HardwareTree(tmp_path)
    for number in range(COUNT):
        tree.node("/devices/platform/serial", "tty", f"ttyX{number}")
    return tree


class Newest:
    """Takes every inventory as it comes."""

    def __init__(self) -> None:
        self.sick: set[str] = set()
        self.total = 0
        self._told = asyncio.Event()

    async def follow(self, tree: HardwareTree) -> None:
        backend = CustomBackend(WANTED, tree.host, Memory())
        async with aclosing(backend.inventories()) as inventories:
            async for inventory in inventories:
                self._take(inventory)

    def _take(self, inventory: Inventory) -> None:
        self.total = len(inventory.devices)
        self.sick = {name for name, device in inventory.devices.items() if not device.healthy}
        self._told.set()

    async def until_sick(self, *names: str) -> None:
        async with patience(10):
            while self.sick != {f"udev-{name}" for name in names} or self.total != COUNT:
                self._told.clear()
                await self._told.wait()


def tell(tree: HardwareTree, action: str, name: str) -> None:
    devpath = f"/devices/platform/serial/tty/{name}"
    send_uevent(tree.socket, Uevent(action, devpath, "tty", f"/dev/{name}", {}))


async def idle() -> None:
    """Return after a second that cost next to nothing; what other tests left may still run."""
    async with patience(10):
        spent = 1.0
        while spent > 0.02:
            before = time.process_time()
            await asyncio.sleep(1)
            spent = time.process_time() - before


@timed
async def test_a_storm_loses_nothing_and_leaves_no_load_behind(tree: HardwareTree) -> None:
    """A hundred events a second; what is gone is known soon after, and idle is idle again."""
    newest = Newest()
    following = asyncio.create_task(newest.follow(tree))
    await newest.until_sick()
    spent = time.process_time()
    for number in range(200):
        name = f"ttyX{number}"
        if number in {50, 100, 150}:
            name = GONE[number // 50 - 1]
            tree.unplug(f"/devices/platform/serial/tty/{name}")
            tell(tree, "remove", name)
        else:
            tell(tree, "change", name)
        await asyncio.sleep(0.01)
    await newest.until_sick(*GONE)
    storm = time.process_time() - spent
    assert storm < on_this_machine(2.5)
    await idle()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_lost_events_are_repaired_by_a_look(tree: HardwareTree) -> None:
    """The kernel says that some were lost, not which; a datagram that is none counts alike."""
    newest = Newest()
    following = asyncio.create_task(newest.follow(tree))
    await newest.until_sick()
    tree.unplug(f"/devices/platform/serial/tty/{GONE[1]}")
    (tree.folder / f"dev/{GONE[1]}").touch()  # or inotify would tell of the node
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"garbage", str(tree.socket))
    await newest.until_sick(GONE[1])
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
