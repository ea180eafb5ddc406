"""A device that does not answer is sick alone, and nobody waits for it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.testing.patience import patience
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from nodeplug_custom.plugin import SPEC
from support.custom_host import RESOURCE, Following, discover, several, until
from support.hardware_tree import HardwareTree
from support.needs import require
from support.slow_files import SlowFile, can_serve_files

USB = {"usb": {"vendor": "046d"}}
SICK, WELL = "usb-046d-0825-A1", "usb-046d-0825-A2"
UNREAD = "does not answer: serial cannot be read"


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    """Give two sticks; the first one's attributes may be served slowly."""
    tree = HardwareTree(tmp_path)
    tree.usb("1-2", serial="A1", number=5)
    tree.usb("1-3", serial="A2", number=6)
    return tree


@contextmanager
def slow(tree: HardwareTree, path: str = "", content: str = "A1\n") -> Iterator[SlowFile]:
    """Serve an attribute of the first stick."""
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    place = path or "/devices/pci0000:00/0000:00:14.0/usb1/1-2/serial"
    with SlowFile(tree.folder / f"sys{place}", content) as file:
        yield file


class Watched:
    def __init__(self, tree: HardwareTree, following: Following) -> None:
        self._tree = tree
        self._following = following

    async def reaches(self, **wanted: str) -> None:
        """Wait until these are the devices, by the ends of their ids, with these reasons."""
        async with patience(15):
            await until(
                self._following,
                lambda i: {n.rpartition("-")[2]: d.reason for n, d in i.devices.items()} == wanted,
            )

    def tell(self, action: str = "change", subsystem: str = "usb") -> None:
        devpath = "/devices/pci0000:00/0000:00:14.0/usb1/1-3"
        send_uevent(self._tree.socket, Uevent(action, devpath, subsystem, "", {}))


@asynccontextmanager
async def watched(
    tree: HardwareTree, *hardware: Mapping[str, Any], others: Sequence[Mapping[str, Any]] = ()
) -> AsyncIterator[Watched]:
    wanted = several({"name": RESOURCE, "hardware": list(hardware)}, *others)
    backend = CustomBackend(wanted, tree.host, Memory())
    async with aclosing(Following(backend.inventories())) as following:
        yield Watched(tree, following)


async def test_a_stick_that_hangs_is_sick_and_well_again_when_it_answers(
    tree: HardwareTree,
) -> None:
    """Under its own id, which it said before."""
    with slow(tree) as file:
        async with watched(tree, USB) as play:
            await play.reaches(A1="", A2="")
            file.hang()
            play.tell()
            await play.reaches(A1=UNREAD, A2="")
            file.go_on()
            await play.reaches(A1="", A2="")


async def test_others_come_and_go_meanwhile(tree: HardwareTree) -> None:
    """Nobody waits for it again."""
    with slow(tree) as file:
        async with watched(tree, USB) as play:
            await play.reaches(A1="", A2="")
            file.hang()
            play.tell()
            await play.reaches(A1=UNREAD, A2="")
            tree.usb("1-4", serial="A3", number=7)
            play.tell("add")
            await play.reaches(A1=UNREAD, A2="", A3="")


async def test_paths_of_other_resources_come_meanwhile(tree: HardwareTree) -> None:
    """They have nothing to do with it."""
    paths = {"name": "example.com/path", "devices": [{"path": "/dev/ttyX*"}]}
    with slow(tree) as file:
        async with watched(tree, USB, others=[paths]) as play:
            await play.reaches(A1="", A2="")
            file.hang()
            play.tell()
            await play.reaches(A1=UNREAD, A2="")
            tree.char("/dev/ttyX0", "204:64")
            await play.reaches(**{"A1": UNREAD, "A2": "", "dev:ttyX0": ""})


async def test_one_that_hangs_from_the_start_is_sick_by_its_port_until_it_answers(
    tree: HardwareTree,
) -> None:
    """It has not said who it is, and is not remembered by what it never was."""
    with slow(tree) as file:
        file.hang()
        async with watched(tree, USB) as play:
            await play.reaches(**{"2": UNREAD, "A2": ""})
            file.go_on()
            await play.reaches(A1="", A2="")


async def test_what_no_selector_can_mean_is_not_asked(tree: HardwareTree) -> None:
    """It cannot hold up anything then."""
    with slow(tree) as file:
        await discover(
            tree, several({"name": RESOURCE, "hardware": [{"usb": {"port": "1-3", "serial": "*"}}]})
        )
        assert file.asked == 0


async def test_one_whose_serial_decides_is_not_taken_for_another(tree: HardwareTree) -> None:
    """Nobody can say whether it is meant."""
    with slow(tree) as file:
        file.hang()
        async with watched(tree, {"usb": {"vendor": "046d", "serial": "!A1"}}) as play:
            await play.reaches(A2="")


async def test_it_costs_one_thread_however_often_it_is_looked_at(tree: HardwareTree) -> None:
    """Looks for the other devices go on."""
    before = _readers()
    with slow(tree) as file:
        async with watched(tree, USB) as play:
            await play.reaches(A1="", A2="")
            file.hang()
            play.tell()
            await play.reaches(A1=UNREAD, A2="")
            for number in range(3, 7):
                tree.usb(f"1-{number + 1}", serial=f"A{number}", number=number + 4)
                play.tell("add")
                others = {f"A{each}": "" for each in range(2, number + 1)}
                await play.reaches(A1=UNREAD, **others)
            async with patience(15):  # a machine that stands still makes more, for a moment
                while _readers() > before + 2:  # noqa: ASYNC110 - one is stuck, one asks the others
                    await asyncio.sleep(0.01)


def _readers() -> int:
    return [thread.name for thread in threading.enumerate()].count("read")


def test_the_doctor_names_it(tree: HardwareTree) -> None:
    """With what to do."""
    assert SPEC.checks is not None
    with slow(tree) as file:
        file.hang()
        wanted = several({"name": RESOURCE, "hardware": [USB]})
        found = [each for each in SPEC.checks(wanted, tree.host.root) if each.subject == "usb 1-2"]
        assert [each.finding for each in found] == [UNREAD]


async def test_whoever_watches_the_agent_is_told_as_long_as_it_lasts(tree: HardwareTree) -> None:
    """By the metric of fallbacks, and by the page of readiness."""
    with slow(tree) as file:
        async with watched(tree, USB) as play:
            file.hang()
            await play.reaches(**{"2": UNREAD, "A2": ""})
            assert fallbacks()["custom usb 1-2"].startswith("a device does not answer")
            file.go_on()
            await play.reaches(A1="", A2="")
            assert "custom usb 1-2" not in fallbacks()


async def test_a_backend_that_has_ended_lacks_nothing(tree: HardwareTree) -> None:
    """Nobody would take it back."""
    with slow(tree) as file:
        async with watched(tree, USB) as play:
            file.hang()
            await play.reaches(**{"2": UNREAD, "A2": ""})
        assert not fallbacks()


@pytest.mark.parametrize("key", ["health", "selector"])
async def test_any_attribute_that_hangs_costs_its_device_alone(
    tree: HardwareTree, key: str
) -> None:
    """Which one may, nobody knows of all drivers."""
    devpaths = [tree.node("/devices/platform/port", "tty", f"ttyX{n}", level="7") for n in range(2)]
    attributes = {"attributes": {"level": "7"}}
    entry = {"udev": {"subsystem": "tty"}, "health": attributes}
    if key == "selector":
        entry = {"udev": {"subsystem": "tty", **attributes}}
    with slow(tree, f"{devpaths[0]}/level", "7\n") as file:
        async with watched(tree, entry) as play:
            await play.reaches(ttyX0="", ttyX1="")
            file.hang()
            play.tell(subsystem="tty")
            what = "health" if key == "health" else "sysfs"
            await play.reaches(ttyX0=f"does not answer: {what} cannot be read", ttyX1="")
            file.go_on()
            await play.reaches(ttyX0="", ttyX1="")


@pytest.mark.parametrize("name", ["uevent", "dev"])
async def test_what_every_device_is_asked_hangs_for_one_alone(
    tree: HardwareTree, name: str
) -> None:
    """The kernel holds the lock of its device; nobody must hold one for all of them."""
    devpaths = [tree.node("/devices/platform/port", "tty", f"ttyX{n}") for n in range(2)]
    file = tree.folder / f"sys{devpaths[0]}" / name
    entry = {"udev": {"subsystem": "tty", "properties": {"DEVNAME": "ttyX*"}}}
    with slow(tree, f"{devpaths[0]}/{name}", file.read_text()) as served:
        async with watched(tree, entry) as play:
            await play.reaches(ttyX0="", ttyX1="")
            served.hang()
            play.tell(subsystem="tty")
            await play.reaches(ttyX0="does not answer: sysfs cannot be read", ttyX1="")
            new = tree.node("/devices/platform/port", "tty", "ttyX2")
            send_uevent(tree.socket, Uevent("add", new, "tty", "", {}))
            silent = "does not answer: sysfs cannot be read"
            await play.reaches(ttyX0=silent, ttyX1="", ttyX2="")


async def test_one_that_never_answered_is_not_taken_for_well(tree: HardwareTree) -> None:
    """Not even for the moment that it has to."""
    tree.node("/devices/platform/port", "tty", "ttyX0", level="7")
    entry = {"udev": {"subsystem": "tty"}, "health": {"attributes": {"level": "7"}}}
    wanted = several({"name": RESOURCE, "hardware": [entry]})
    backend = CustomBackend(wanted, tree.host, Memory())
    async with patience(15), aclosing(Following(backend.inventories())) as following:
        await anext(following)
        new = tree.node("/devices/platform/port", "tty", "ttyX1", level="7")
        with slow(tree, f"{new}/level", "7\n") as file:
            file.hang()
            send_uevent(tree.socket, Uevent("add", new, "tty", "", {}))
            seen = await until(following, lambda i: "udev-ttyX1" in i.devices)
            assert not seen.devices["udev-ttyX1"].healthy


async def test_nodes_below_a_stick_that_hangs_are_sick_with_it(tree: HardwareTree) -> None:
    """A camera with all that belongs to it."""
    tree.node("/devices/pci0000:00/0000:00:14.0/usb1/1-2", "video4linux", "video0", interface="1.0")
    camera = {**USB, "udev": {"subsystem": "video4linux"}, "group": "parent"}
    with slow(tree) as file:
        async with watched(tree, camera) as play:
            await play.reaches(A1="")
            file.hang()
            play.tell()
            await play.reaches(A1=UNREAD)
            file.go_on()
            await play.reaches(A1="")
