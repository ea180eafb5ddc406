"""Every kind of entry is told of changes, and all are judged on one moment."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug_custom import selection
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.matches import ProbeSettings
from nodeplug_custom.memory import Memory
from support.custom_host import RESOURCE, Following, discover, several, until, watching
from support.hardware_tree import HardwareTree


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    return HardwareTree(tmp_path)


def tell(tree: HardwareTree, action: str, devpath: str, subsystem: str) -> None:
    send_uevent(tree.socket, Uevent(action, devpath, subsystem, "", {}))


@asynccontextmanager
async def reasons(tree: HardwareTree, *hardware: Mapping[str, Any]) -> AsyncIterator[Following]:
    wanted = several({"name": RESOURCE, "hardware": list(hardware)})
    backend = CustomBackend(wanted, tree.host, Memory())
    async with aclosing(Following(backend.inventories())) as following:
        yield following


async def test_a_row_is_told_of_when_its_paths_come(tree: HardwareTree) -> None:
    """By the directories of all its patterns, without any polling."""
    tree.char("/dev/null0")
    paths = [{"path": "/dev/a*"}, {"path": "/dev/sub/b*"}]
    wanted = several({"name": RESOURCE, "zipped": [{"paths": paths}]})
    (tree.folder / "dev/sub").mkdir()
    async with watching(tree, wanted) as following:
        tree.char("/dev/sub/b0")
        tree.char("/dev/a0")
        await until(following, lambda i: [*i.devices] == ["zip-dev:a0"])


async def test_nodes_that_come_after_a_driver_is_bound_are_told_of(tree: HardwareTree) -> None:
    """Below a function that is served, whatever they are."""
    card = tree.pci("0000:00:05.0", "1234:0001", driver="mydrv")
    async with reasons(tree, {"pci": {"vendor": "1234"}}) as following:
        await until(following, lambda i: i.devices["pci-0000:00:05.0"].reason != "")
        node = tree.node(card, "measuring", "adc0")
        tell(tree, "add", node, "measuring")
        await until(following, lambda i: i.devices["pci-0000:00:05.0"].healthy)


async def test_a_driver_above_a_device_that_is_bound_anew_is_told_of(tree: HardwareTree) -> None:
    """It may be what the device's health is judged by."""
    card = tree.pci("0000:00:05.0", driver="bad")
    tree.node(card, "tty", "ttyX0")
    entry = {"udev": {"subsystem": "tty"}, "health": {"driver": "good"}}
    async with reasons(tree, entry) as following:
        await until(following, lambda i: i.devices["udev-ttyX0"].reason != "")
        tree.bind(card, "good")
        tell(tree, "bind", card, "pci")
        await until(following, lambda i: i.devices["udev-ttyX0"].healthy)


async def test_a_node_that_comes_during_a_look_is_the_first_entry_s_at_once(
    tree: HardwareTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is never advertised by a later entry, whose link came before that one looked."""
    (tree.folder / "dev/by-id").mkdir()
    wanted = several(
        {"name": "example.com/first", "devices": [{"path": "/dev/ttyX*"}]},
        {"name": "example.com/later", "devices": [{"path": "/dev/by-id/*"}]},
    )
    backend = CustomBackend(wanted, tree.host, Memory())
    look_for = selection.look_for
    armed = False

    def torn(pattern: str, *rest: Any) -> selection.Found:
        nonlocal armed
        if armed and pattern == "/dev/by-id/*":
            armed = False
            tree.char("/dev/ttyX0")
            (tree.folder / "dev/by-id/stick").symlink_to("../ttyX0")
            until_noticed = time.monotonic() + 10
            while not backend._changed.is_set() and time.monotonic() < until_noticed:
                time.sleep(0.001)
        return look_for(pattern, *rest)

    monkeypatch.setattr(selection, "look_for", torn)
    async with aclosing(Following(backend.inventories())) as following:
        await anext(following)
        armed = True
        tree.char("/dev/ttyX1")
        seen = await until(following, lambda i: len(i.devices) > 1)
        assert {device.resource for device in seen.devices.values()} == {"example.com/first"}


async def test_a_probe_follows_the_device_to_another_node(tree: HardwareTree) -> None:
    """After a driver is bound anew, what has the old node says nothing of it."""
    port = tree.pci("0000:00:05.0")
    old = tree.node(port, "input", "event7", index="0")
    command = ["test", "-e", f"{tree.folder}{{nodes}}"]
    probe = {"command": command, "intervalSeconds": 1, "failures": 1}
    entry = {
        "pci": {"vendor": "*"},
        "udev": {"subsystem": "input"},
        "health": {"probe": probe},
    }
    async with reasons(tree, entry) as following:
        await until(following, lambda i: all(d.healthy for d in i.devices.values()))
        tree.unplug(old)
        tell(tree, "remove", old, "input")
        await until(following, lambda i: not any(d.healthy for d in i.devices.values()))
        new = tree.node(port, "input", "event12", index="0")
        tell(tree, "add", new, "input")
        found = await until(following, lambda i: any(d.healthy for d in i.devices.values()))
        assert [*found.devices] == ["pci-0000:00:05.0-input-0"]


def test_a_probe_of_a_field_that_it_does_not_have_is_refused() -> None:
    """It would never ask anything."""
    with pytest.raises(msgspec.ValidationError, match=r"unknown field \{node\}"):
        msgspec.convert({"command": ["check", "{node}"]}, ProbeSettings)


def test_a_probe_may_name_the_path() -> None:
    """As every other template."""
    probe = msgspec.convert({"command": ["check", "{path}", "{hostPath}"]}, ProbeSettings)
    assert probe.command == ("check", "{path}", "{hostPath}")


async def test_all_of_udevs_database_counts(tree: HardwareTree) -> None:
    """A disk with many paths has links before, of more than a page."""
    tree.node("/devices/platform/port", "tty", "ttyX0")
    links = (f"S:disk/by-id/{number}-{'x' * 80}" for number in range(80))
    tree.database("c81:1", *links, "E:ID_MODEL=thing", "Q:mine", "V:1")
    udev = {"tags": ["mine"], "properties": {"ID_MODEL": "thing"}}
    assert (await discover(tree, several({"name": RESOURCE, "hardware": [{"udev": udev}]}))).devices


@pytest.mark.parametrize(
    ("lines", "chosen"),
    [
        (["G:mine"], True),
        (["G:mine", "Q:mine", "V:1"], True),
        (["G:mine", "Q:other", "V:1"], False),
        (["G:mine", "V:1"], False),
    ],
    ids=["before-systemd-247", "current", "former", "none"],
)
async def test_only_tags_that_rules_give_now_count(
    tree: HardwareTree, lines: list[str], *, chosen: bool
) -> None:
    """Udev keeps those that a device once had."""
    tree.node("/devices/platform/port", "tty", "ttyX0")
    tree.database("c81:1", *lines)
    wanted = several({"name": RESOURCE, "hardware": [{"udev": {"tags": ["mine"]}}]})
    assert bool((await discover(tree, wanted)).devices) is chosen
