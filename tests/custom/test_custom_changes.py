"""When the backend tells of a change."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from pathlib import Path

import pytest

from nodeplug.host.host import open_host
from nodeplug.host.identities import Identities
from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.testing.patience import patience
from nodeplug.values.inventory import Inventory
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.changes import Changes, changes
from nodeplug_custom.globs import Place, Step
from nodeplug_custom.memory import Memory
from nodeplug_custom.plugin import SPEC
from nodeplug_custom.selection import Selection
from support.custom_host import FakeHost, backend, settings, several, until, watching
from support.kernel_events import zram
from support.namespaces import with_own_limits
from support.needs import require
from support.timed import on_this_machine, timed

ALL = {"path": "/dev/a*"}


def reasons(inventory: Inventory) -> dict[str, str]:
    return {device.id: device.reason for device in inventory.devices.values()}


async def seconds_until(
    inventories: AsyncGenerator[Inventory, None], device_id: str, reason: str
) -> float:
    started = time.perf_counter()
    await until(inventories, lambda each: reasons(each).get(device_id) == reason)
    return time.perf_counter() - started


def event(name: str) -> Uevent:
    return Uevent("add", "/devices/x", "tty", name, {})


async def test_a_new_node_is_told(fake: FakeHost) -> None:
    """A device that is plugged in appears."""
    async with watching(fake, settings(ALL)) as inventories:
        fake.file("/dev/a1")
        assert reasons(await anext(inventories)) == {"dev:a1": ""}


async def test_a_directory_of_nodes_follows_what_is_in_it(fake: FakeHost) -> None:
    """It is sick while it has none, and has each as soon as it is there."""
    (fake.folder / "dev/d/below").mkdir(parents=True)
    async with watching(fake, settings({"path": "/dev/d", "type": "nodes"})) as inventories:
        fake.node("/dev/d/below/a")
        inventory = await until(inventories, lambda each: reasons(each) == {"dev:d": ""})
        assert [n.host_path for n in inventory.devices["dev:d"].edits.nodes] == ["/dev/d/below/a"]
        fake.remove("/dev/d/below/a")
        await until(inventories, lambda each: reasons(each)["dev:d"] == "no device node is in it")


async def test_a_removed_node_stays_as_not_present(fake: FakeHost) -> None:
    """A device that is unplugged keeps its id while it may come back."""
    fake.file("/dev/a1")
    async with watching(fake, settings(ALL)) as inventories:
        fake.remove("/dev/a1")
        assert reasons(await anext(inventories)) == {"dev:a1": "not present"}
        fake.file("/dev/a1")
        assert reasons(await anext(inventories)) == {"dev:a1": ""}


async def test_a_node_replaced_by_something_else_is_told(fake: FakeHost) -> None:
    """The path is there, the device is not."""
    fake.file("/dev/a1")
    async with watching(fake, settings(ALL)) as inventories:
        fake.path("/dev/new").mkdir()
        fake.remove("/dev/a1")
        fake.path("/dev/new").rename(fake.path("/dev/a1"))
        told = await until(inventories, lambda each: "not present" not in str(reasons(each)))
        assert reasons(told) == {"dev:a1": "is of type directory, not file"}


async def test_a_directory_that_appears_is_looked_into(fake: FakeHost) -> None:
    """A pattern below a directory that a driver makes later finds what is made in it."""
    async with watching(fake, settings({"path": "/dev/x*/y/a*"})) as inventories:
        fake.file("/dev/x1/y/a1")
        await anext(inventories)
        fake.file("/dev/x1/y/a2")
        assert reasons(await anext(inventories)) == {"dev:x1:y:a1": "", "dev:x1:y:a2": ""}


async def test_a_change_between_look_and_watch_is_told(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node made when its directory was looked at and not yet watched is found."""
    follow = Changes.follow

    def late(told: Changes, places: Collection[Place]) -> bool:
        fake.file("/dev/a1")
        return follow(told, places)

    monkeypatch.setattr(Changes, "follow", late)
    async with aclosing(backend(fake, settings(ALL)).inventories()) as inventories:
        assert [reasons(await anext(inventories)) for _ in "12"] == [{}, {"dev:a1": ""}]


async def test_nothing_is_told_twice(fake: FakeHost) -> None:
    """A look that finds nothing new keeps it to itself."""
    async with watching(fake, settings(ALL)) as inventories:
        assert not inventories.told


@pytest.mark.parametrize("name", ["real", "[r]"])
async def test_the_node_behind_a_link_is_watched(fake: FakeHost, name: str) -> None:
    """The link stays when its node goes, where nobody watches but for its sake."""
    fake.file(f"/elsewhere/{name}")
    fake.path("/dev/a1").symlink_to(f"/elsewhere/{name}")
    async with watching(fake, settings(ALL | {"followLinks": True})) as inventories:
        fake.remove(f"/elsewhere/{name}")
        assert reasons(await anext(inventories)) == {"dev:a1": "not present"}


async def test_a_link_turned_to_another_node_is_told(fake: FakeHost) -> None:
    """After a replug, the same link leads to the next number."""
    for name in ("sda", "sdb"):
        fake.file(f"/dev/{name}")
    fake.path("/dev/a1").symlink_to("sda")
    async with watching(fake, settings(ALL)) as inventories:
        fake.path("/dev/new").symlink_to("sdb")
        fake.path("/dev/new").rename(fake.path("/dev/a1"))
        (device,) = (await anext(inventories)).devices.values()
        assert device.attributes["realPath"] == "/dev/sdb"


async def test_a_device_that_turns_out_to_be_another_is_listed_once(fake: FakeHost) -> None:
    """A second link to the node takes nothing from the first; it is served by what is left."""
    fake.file("/dev/real")
    fake.path("/dev/a2").symlink_to("real")
    async with watching(fake, settings(ALL)) as inventories:
        fake.path("/dev/a1").symlink_to("real")
        fake.remove("/dev/a2")
        inventory = await anext(inventories)
        assert reasons(inventory) == {"dev:a2": ""}
        assert inventory.devices["dev:a2"].attributes["hostPath"] == "/dev/a1"


async def test_an_overflow_of_inotify_hides_nothing(fake: FakeHost) -> None:
    """A node whose own event was lost is found."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    require(limit <= 100_000, "the kernel's queue is too long to fill")
    async with watching(fake, settings(ALL)) as inventories:
        noise = str(fake.path("/dev/noise"))
        for _ in range(limit // 2 + 1):
            os.mknod(noise)
            os.unlink(noise)  # noqa: PTH108 - thousands of times
        fake.file("/dev/a1")
        assert reasons(await anext(inventories)) == {"dev:a1": ""}


async def test_a_kernel_event_is_a_reason_to_look(fake: FakeHost) -> None:
    """The kernel's word suffices, also where inotify does not reach."""
    async with patience(5), changes(fake.host, 0) as told:
        told.follow({Place("/dev", Step("a*"))})
        send_uevent(fake.socket, event("/dev/a1"))
        await told.wait()


async def test_lost_kernel_events_are_a_reason_to_look(fake: FakeHost) -> None:
    """What could not be read might have mattered."""
    async with patience(5), changes(fake.host, 0) as told:
        told.follow({Place("/dev", Step("a*"))})
        unreadable = Uevent("", "", "", "", {})
        send_uevent(fake.socket, unreadable)
        await told.wait()


@pytest.mark.parametrize("name", ["/dev/b1", "/dev/x/a1", "/dev/../a1", ""])
async def test_events_of_other_devices_do_not_matter(fake: FakeHost, name: str) -> None:
    """A busy host does not keep the agent busy."""
    async with changes(fake.host, 0) as told:
        told.follow({Place("/dev", Step("a*"))})
        assert not told._matters(event(name))


async def test_events_that_do_not_matter_cause_no_look(fake: FakeHost) -> None:
    """Only the slow look, some time later, follows them."""
    async with changes(fake.host, 0.05) as told:
        told.follow({Place("/dev", Step("a*"))})
        started = time.perf_counter()
        fake.file("/dev/b1")
        send_uevent(fake.socket, event("/dev/b1"))
        await told.wait()
    assert time.perf_counter() - started >= 0.05


async def test_a_directory_that_matters_no_more_is_not_watched(fake: FakeHost) -> None:
    """The kernel's watches are few."""
    async with changes(fake.host, 0) as told:
        told.follow({Place("/dev/x", Step("a*"))})
        told.follow(set())
        assert told._watch._wanted == {}


async def test_without_events_there_is_a_slow_look(fake: FakeHost) -> None:
    """What no event told is found all the same, when the pause is over."""
    async with patience(5), changes(fake.host, 0.01) as told:
        await told.wait()


LIMITED = """
import asyncio, sys
from pathlib import Path
from nodeplug.host.host import open_host
from nodeplug_custom.changes import Changes, changes
from nodeplug_custom.globs import Place, Step

async def main(root):
    Path("/proc/sys/user/max_inotify_watches").write_text("0")
    async with changes(open_host(root, root + "/uevents.sock"), 0) as told:
        print(told.follow({Place("/dev", Step("a*"))}))
        await told.wait()  # for the first look
        (Path(root) / "dev/a1").touch()
        await told.wait()

asyncio.run(main(sys.argv[1]))
"""


def test_a_directory_that_cannot_be_watched_is_no_end(fake: FakeHost) -> None:
    """Where the kernel's watches are used up, a warning comes and it is polled."""
    command = [*with_own_limits(), sys.executable, "-c", LIMITED, str(fake.folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("True\n", "directory not watched\n")


async def test_looks_are_ten_milliseconds_apart(fake: FakeHost) -> None:
    """A device that comes and goes without end does not keep the agent busy."""
    async with changes(fake.host, 0) as told:
        started = time.perf_counter()
        told.follow({Place("/dev", Step("a*"))})
        fake.file("/dev/a1")
        await told.wait()
    assert time.perf_counter() - started >= 0.010


async def test_a_burst_causes_one_look(fake: FakeHost) -> None:
    """Of many changes before a look, none is left to cause another; the slow look is next."""
    async with changes(fake.host, 0.05) as told:
        told.follow({Place("/dev", Step("a*"))})
        for number in range(300):
            fake.file(f"/dev/a{number}")
        await told.wait()
        started = time.perf_counter()
        await told.wait()
    assert time.perf_counter() - started >= 0.05


@timed
async def test_a_change_is_told_within_the_promise(fake: FakeHost) -> None:
    """Among a thousand devices, the median of twenty changes is told within 50 ms.

    Or, on a machine that is busy, in three times what a look takes there.
    """
    for number in range(1000):
        fake.node(f"/dev/tty{number}")
    figures, looks, wanted = [], [], settings({"path": "/dev/tty*", "type": "char"})
    async with watching(fake, wanted) as inventories:
        for number in range(20):
            started = time.perf_counter()
            fake.node(f"/dev/tty-new{number}")
            await anext(inventories)
            figures.append(time.perf_counter() - started)
            started = time.perf_counter()
            Selection(wanted, Identities()).look(fake.host.root)
            looks.append(time.perf_counter() - started)
    assert sorted(figures)[10] < max(0.050, 3 * sorted(looks)[10])


@timed
async def test_looking_at_a_thousand_devices_leaves_the_loop_free(fake: FakeHost) -> None:
    """Allocation goes on while the host is looked at: the loop's own thread has little to do."""
    for number in range(1000):
        fake.file(f"/dev/a{number}")
    longest, last = 0.0, time.thread_time()
    async with aclosing(backend(fake, settings(ALL)).inventories()) as inventories:
        looking = asyncio.ensure_future(anext(inventories))
        while not looking.done():
            await asyncio.sleep(0)
            longest, last = max(longest, time.thread_time() - last), time.thread_time()
        await looking
    assert longest < on_this_machine(0.050)


@timed
async def test_a_real_block_device_is_told_within_the_promise() -> None:
    """A zram device that the kernel adds and removes is told, with polling off."""
    figures = []
    wanted = several({"name": "a.b/c", "devices": [{"path": "/dev/zram*", "type": "block"}]})
    real = CustomBackend(wanted, open_host(), Memory())
    async with aclosing(real.inventories()) as inventories:
        await anext(inventories)
        for _ in range(5):
            with zram() as name:
                figures.append(await seconds_until(inventories, f"dev:{name}", ""))
            figures.append(await seconds_until(inventories, f"dev:{name}", "not present"))
    assert sorted(figures)[5] < on_this_machine(0.050)


@pytest.mark.parametrize("way", ["close", "cancel"])
async def test_stopping_closes_every_descriptor(fake: FakeHost, way: str) -> None:
    """Neither the end nor a cancellation leaves a watch or a subscription behind."""
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208
    inventories = backend(fake, settings(ALL)).inventories()
    await anext(inventories)
    if way == "cancel":
        waiting = asyncio.ensure_future(anext(inventories))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
    await inventories.aclose()
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


async def test_a_new_backend_knows_what_the_old_one_saw(fake: FakeHost) -> None:
    """A device that vanished during a reload stays Unhealthy after it, if it is still selected."""
    fake.file("/dev/a1")
    fake.file("/dev/b1")
    old = backend(fake, settings(ALL, {"path": "/dev/b*"}))
    async with aclosing(old.inventories()) as inventories:
        await anext(inventories)
    shutil.rmtree(fake.folder / "dev")
    new = SPEC.build(settings(ALL), fake.host, old)
    async with aclosing(new.inventories()) as inventories:
        assert reasons(await anext(inventories)) == {"dev:a1": "not present"}


async def test_a_hanging_look_is_not_repeated_beside_it(
    fake: FakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead file system costs one thread that hangs, not one more at every restart."""
    monkeypatch.setattr("nodeplug_custom.backend._LOOK_SECONDS", 0.05)
    memory = Memory()
    with memory.looking, pytest.raises(TimeoutError):
        await anext(backend(fake, settings(ALL), memory).inventories())


async def test_the_memory_of_what_is_gone_is_bounded(fake: FakeHost) -> None:
    """A host that makes and removes nodes for ever keeps the last thousand."""
    paths = [fake.path(f"/dev/a{number:04}") for number in range(1001)]
    for path in paths[:1000]:
        path.touch()
    async with watching(fake, settings(ALL)) as inventories:
        for path in paths[:1000]:
            path.unlink()
        await until(inventories, lambda each: all(reasons(each).values()))
        paths[1000].touch()
        await anext(inventories)
        paths[1000].unlink()
        last = await anext(inventories)
    assert (len(last.devices), "dev:a1000" in last.devices) == (1000, True)
