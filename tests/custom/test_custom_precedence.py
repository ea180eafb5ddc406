"""The first entry that selects a node has it, and whoever asks is told who has it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nodeplug.host import pci, sysfs, usb
from nodeplug_custom import buses, kernel_devices
from nodeplug_custom.plugin import SPEC
from support.custom_host import RESOURCE, discover, several
from support.hardware_tree import HardwareTree

BY_KIND = {"name": "example.com/kind", "hardware": [{"udev": {"subsystem": "tty"}}]}
BY_PATH = {"name": "example.com/path", "devices": [{"path": "/dev/ttyX*"}]}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    return HardwareTree(tmp_path)


async def explained(tree: HardwareTree, *resources: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what is not served, and why."""
    assert SPEC.explain is not None
    told = await SPEC.explain(several(*resources), tree.host)
    return [(each.device, each.reason) for each in told if not each.chosen]


@pytest.mark.parametrize("first", [BY_KIND, BY_PATH], ids=["kind", "path"])
async def test_the_first_entry_has_it_be_it_a_path_or_a_kind(
    tree: HardwareTree, first: Mapping[str, Any]
) -> None:
    """In the order of the file."""
    tree.node("/devices/platform/port", "tty", "ttyX0")
    second = BY_PATH if first is BY_KIND else BY_KIND
    inventory = await discover(tree, several(first, second))
    assert {device.resource for device in inventory.devices.values()} == {first["name"]}


async def test_the_loser_is_told_the_winner(tree: HardwareTree) -> None:
    """Nobody says that nothing matches where something does."""
    tree.node("/devices/platform/port", "tty", "ttyX0")
    assert await explained(tree, BY_KIND, BY_PATH) == [
        ("/dev/ttyX0", "is served as udev-ttyX0 by example.com/kind")
    ]
    assert await explained(tree, BY_PATH, BY_KIND) == [
        ("udev-ttyX0", "/dev/ttyX0 is served as dev:ttyX0 by example.com/path")
    ]


async def test_of_two_paths_the_loser_is_told_under_its_own_resource(tree: HardwareTree) -> None:
    """Both may match by the same name."""
    tree.node("/devices/platform/port", "tty", "ttyX0")
    wider = {"name": "example.com/wider", "devices": [{"path": "/dev/tty*"}]}
    assert SPEC.explain is not None
    told = await SPEC.explain(several(BY_PATH, wider), tree.host)
    assert [(v.resource, v.chosen) for v in told] == [
        ("example.com/path", True),
        ("example.com/wider", False),
    ]


async def test_what_is_left_over_of_a_row_is_told(tree: HardwareTree) -> None:
    """A second card that a control node is missing for is served nowhere."""
    for name in ("kfd", "renderD128", "renderD129"):
        tree.char(f"/dev/{name}")
    paths = [{"path": "/dev/kfd"}, {"path": "/dev/renderD*"}]
    wanted = {"name": RESOURCE, "zipped": [{"paths": paths}]}
    told = [("/dev/renderD129", "nothing is left to be put together with it")]
    assert await explained(tree, wanted) == told
    assert SPEC.checks is not None
    assert "/dev/renderD129" in [f.subject for f in SPEC.checks(several(wanted), tree.host.root)]


async def test_what_is_left_over_of_a_set_is_told(tree: HardwareTree) -> None:
    """As of a row."""
    for port, product in (("1-1", "0001"), ("1-2", "0001"), ("1-3", "0002")):
        tree.usb(port, ids=f"1050:{product}", number=int(port[-1]))
    members = [{"usb": {"product": "0001"}}, {"usb": {"product": "0002"}}]
    [(name, why)] = await explained(tree, {"name": RESOURCE, "sets": [{"members": members}]})
    assert (name, why) == ("usb-1-2", "nothing is left to be put together with it")


async def test_each_bus_is_read_once_however_many_entries_ask(
    tree: HardwareTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost does not grow with the number of entries."""
    tree.pci("0000:00:03.0")
    tree.usb("1-2", serial="A1")
    asked: list[str] = []
    for module, name in ((pci, "pci_device"), (usb, "usb_device"), (usb, "usb_serial")):
        read = getattr(module, name)

        def noted(*arguments: Any, read: Any = read) -> Any:
            asked.append(read.__name__)
            return read(*arguments)

        monkeypatch.setattr(buses, name, noted)
    entries = [{key: {"vendor": "*"}} for key in ("pci", "usb") for _ in range(5)]
    await discover(tree, several({"name": RESOURCE, "hardware": entries}))
    assert sorted(asked) == ["pci_device", "usb_device", "usb_serial"]


async def test_udev_s_database_is_read_only_for_entries_that_need_it(
    tree: HardwareTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs a file for each node."""
    tree.node("/devices/platform/port", "tty", "ttyX0")
    opened: list[str] = []
    read = sysfs.read_text

    def noted(path: Any) -> str | None:
        opened.append(str(path))
        return read(path)

    monkeypatch.setattr(kernel_devices, "read_text", noted)
    await discover(tree, several(BY_KIND))
    assert not [path for path in opened if "/udev/data/" in path]
