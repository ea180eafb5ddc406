"""A file system that hangs costs what is on it, and nothing else."""

import asyncio
import stat
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager

import pytest

from nodeplug.host.fallbacks import fallbacks
from nodeplug.testing.patience import patience
from nodeplug.values.inventory import Inventory
from support.custom_host import RESOURCE, FakeHost, backend, settings
from support.needs import require
from support.slow_files import SlowFiles, can_serve_files

ENTRIES = {"path": "/dev/a*"}, {"path": "/remote/disk*"}


@pytest.fixture(name="files")
def _files(fake: FakeHost) -> Iterator[SlowFiles]:
    """One disk on a file system that hangs when told to."""
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    fake.path("/dev/a0").touch()
    directory = fake.path("/remote")
    directory.mkdir()
    with SlowFiles(directory, "disk0", "deep/") as files:
        yield files


@asynccontextmanager
async def following(
    fake: FakeHost, *more: dict[str, str]
) -> AsyncGenerator[AsyncGenerator[Inventory, None], None]:
    made = backend(fake, settings(*ENTRIES, *more))
    async with patience(15), aclosing(made.inventories()) as inventories:
        yield inventories


def sound(inventory: Inventory) -> set[str]:
    return {device_id for device_id, device in inventory.devices.items() if not device.reason}


async def test_others_are_found_and_followed_meanwhile(fake: FakeHost, files: SlowFiles) -> None:
    """What is on it is taken to be as it was."""
    async with following(fake) as inventories:
        assert sound(await anext(inventories)) == {"dev:a0", "remote:disk0"}
        files.hang()
        fake.path("/dev/a1").touch()
        assert sound(await anext(inventories)) == {"dev:a0", "dev:a1", "remote:disk0"}
        assert fallbacks() == {"looks of custom": "file system hangs: looking for /remote/disk*"}
        fake.path("/dev/a1").unlink()
        assert sound(await anext(inventories)) == {"dev:a0", "remote:disk0"}


async def test_one_that_hangs_from_the_start_is_found_as_soon_as_it_answers(
    fake: FakeHost, files: SlowFiles
) -> None:
    """The others do not wait for it."""
    files.hang()
    async with following(fake) as inventories:
        assert sound(await anext(inventories)) == {"dev:a0"}
        files.go_on()
        assert sound(await anext(inventories)) == {"dev:a0", "remote:disk0"}


async def test_after_a_while_what_is_on_it_is_sick(
    fake: FakeHost, files: SlowFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can use it; it recovers with the file system."""
    monkeypatch.setattr("nodeplug_custom.patience._TRUST_SECONDS", 0.1)
    async with following(fake) as inventories:
        await anext(inventories)
        files.hang()
        fake.path("/dev/a1").touch()
        assert sound(await anext(inventories)) == {"dev:a0", "dev:a1"}
        files.go_on()
        assert sound(await anext(inventories)) == {"dev:a0", "dev:a1", "remote:disk0"}


async def test_it_costs_one_thread_however_often_it_is_looked_at(
    fake: FakeHost, files: SlowFiles
) -> None:
    """Looks for the other devices go on."""
    async with following(fake) as inventories:
        await anext(inventories)
        files.hang()
        for number in range(1, 6):
            fake.path(f"/dev/a{number}").touch()
            await anext(inventories)
        assert [t.name for t in threading.enumerate()].count("look") == 1


async def test_allocation_of_a_node_on_it_leaves_the_event_loop_alone(fake: FakeHost) -> None:
    """A device node need not be in /dev; all backends and resources share the loop."""
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    fake.path("/remote").mkdir()
    own = backend(fake, settings({"path": "/remote/node*", "type": "char"}))
    with SlowFiles(fake.path("/remote"), "node0", mode=stat.S_IFCHR | 0o600) as files:
        async with aclosing(own.inventories()) as inventories:
            devices = [*(await anext(inventories)).devices.values()]
            files.hang()
            threading.Timer(1, files.go_on).start()
            allocating = asyncio.create_task(own.allocate(RESOURCE, devices))
            done, _ = await asyncio.wait({allocating}, timeout=0.01)
            await allocating
    assert not done


async def test_watching_it_leaves_the_event_loop_alone(fake: FakeHost, files: SlowFiles) -> None:
    """The way to it is followed anew while it hangs, as after a rename or an overflow."""
    async with following(fake, {"path": "/remote/deep/disk*"}) as inventories:
        assert sound(await anext(inventories)) >= {"remote:deep:disk0"}
        files.hang()
        late = threading.Timer(10, files.go_on)
        late.start()
        aside = fake.folder.with_name("aside")
        fake.folder.rename(aside)
        aside.rename(fake.folder)
        fake.path("/dev/a1").touch()
        while "dev:a1" not in sound(await anext(inventories)):
            pass
        assert late.is_alive()
        late.cancel()
