"""Devices by what they are: USB, PCI, mediated, and nodes below them."""

from pathlib import Path
from typing import Any

import pytest

from nodeplug.values.device import Device
from support.custom_host import RESOURCE, discover, several
from support.hardware_tree import HardwareTree

CAMERA = {"usb": {"vendor": "046d"}, "udev": {"subsystem": "video4linux"}}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    return HardwareTree(tmp_path)


async def found(tree: HardwareTree, *hardware: dict[str, Any], **more: Any) -> dict[str, Device]:
    wanted = several({"name": RESOURCE, "hardware": list(hardware), **more})
    return dict((await discover(tree, wanted)).devices)


def nodes(device: Device) -> list[str]:
    return [node.host_path for node in device.edits.nodes]


async def test_a_usb_device_is_its_bus_node_known_by_its_serial(tree: HardwareTree) -> None:
    """With its place on the board."""
    tree.usb("1-2", serial="A1")
    [device] = (await found(tree, {"usb": {"vendor": "046D", "product": "0825"}})).values()
    assert (device.id, nodes(device)) == ("usb-046d-0825-A1", ["/dev/bus/usb/001/005"])
    assert device.location == ("pci0000:00", "0000:00:14.0")
    assert device.attributes["port"] == "1-2"


async def test_a_function_in_a_domain_of_five_digits_has_a_location(tree: HardwareTree) -> None:
    """Behind a volume management device the kernel counts domains from 10000."""
    tree.pci("0000:00:0e.0/pci10000:00/10000:00:02.0/10000:01:00.0", driver="nvme")
    [device] = (await found(tree, {"pci": {"address": "10000:01:00.0"}})).values()
    above = ("pci0000:00", "0000:00:0e.0", "pci10000:00", "10000:00:02.0")
    assert device.location == (*above, "10000:01:00.0")


async def test_sticks_of_one_serial_are_told_apart_by_their_ports(tree: HardwareTree) -> None:
    """Cheap ones all have the same."""
    for number, port in enumerate(("1-2", "1-3")):
        tree.usb(port, serial="0", number=number)
    assert [*await found(tree, {"usb": {"vendor": "046d"}})] == [
        "usb-046d-0825-0-1-2",
        "usb-046d-0825-0-1-3",
    ]


@pytest.mark.parametrize(
    "usb",
    [{"vendor": "1d6b"}, {"product": "!0825"}, {"serial": "B*"}, {"port": "2-*"}],
    ids=str,
)
async def test_a_usb_device_that_is_not_meant_is_left_out(
    tree: HardwareTree, usb: dict[str, str]
) -> None:
    """Any one selector suffices."""
    tree.usb("1-2", serial="A1")
    assert await found(tree, {"usb": usb}) == {}


async def test_nodes_are_picked_by_the_usb_device_above_them(tree: HardwareTree) -> None:
    """What peers' users ask for most; other nodes of the kind are not theirs."""
    camera = tree.usb("1-2", serial="A1")
    tree.node(camera, "video4linux", "video3", interface="1.0", index="0")
    tree.node(camera, "video4linux", "video4", interface="1.0", index="1")
    other = tree.usb("1-3", "1234:5678", number=6)
    tree.node(other, "video4linux", "video5", interface="1.0", index="0")
    seen = await found(tree, CAMERA)
    assert {name: nodes(device) for name, device in seen.items()} == {
        "usb-046d-0825-A1-video4linux-1.0-0": ["/dev/video3"],
        "usb-046d-0825-A1-video4linux-1.0-1": ["/dev/video4"],
    }


async def test_ids_stay_when_the_kernel_numbers_nodes_anew(tree: HardwareTree) -> None:
    """After a replug, on another port too."""
    camera = tree.usb("1-2", serial="A1")
    tree.node(camera, "video4linux", "video3", interface="1.0", index="0")
    before = [*await found(tree, CAMERA)]
    tree.unplug(camera)
    camera = tree.usb("1-4", serial="A1", number=9)
    tree.node(camera, "video4linux", "video7", interface="1.0", index="0")
    seen = await found(tree, CAMERA)
    assert [*seen] == before
    assert nodes(*seen.values()) == ["/dev/video7"]


async def test_a_camera_comes_with_its_sound_card(tree: HardwareTree) -> None:
    """One device for each parent, with all that was matched and its members."""
    camera = tree.usb("1-2", serial="A1")
    tree.node(camera, "video4linux", "video3", interface="1.0", index="0")
    tree.node(camera, "sound", "controlC1", interface="1.2")
    members = [{"udev": {"subsystem": "sound"}}]
    [device] = (await found(tree, CAMERA | {"group": "parent", "members": members})).values()
    assert device.id == "usb-046d-0825-A1"
    assert nodes(device) == ["/dev/video3", "/dev/controlC1"]


@pytest.mark.parametrize(("optional", "reason"), [(False, "its member 0 is missing"), (True, "")])
async def test_a_device_without_a_member_is_sick_unless_it_may_be_without(
    tree: HardwareTree, *, optional: bool, reason: str
) -> None:
    """The reason says which."""
    camera = tree.usb("1-2", serial="A1")
    tree.node(camera, "video4linux", "video3", interface="1.0")
    members = [{"udev": {"subsystem": "sound"}, "optional": optional}]
    [device] = (await found(tree, CAMERA | {"group": "parent", "members": members})).values()
    assert device.reason == reason


async def test_a_function_bound_to_vfio_brings_its_group(tree: HardwareTree) -> None:
    """And its NUMA node; the node of VFIO itself is shared by all."""
    tree.vfio("0000:00:03.0", 12, ids="10de:1eb8")
    tree.vfio("0000:00:04.0", 13, ids="10de:1eb8")
    seen = await found(tree, {"pci": {"vendor": "10de", "class": "0300*"}})
    assert {name: nodes(device) for name, device in seen.items()} == {
        "pci-0000:00:03.0": ["/dev/vfio/vfio", "/dev/vfio/12"],
        "pci-0000:00:04.0": ["/dev/vfio/vfio", "/dev/vfio/13"],
    }
    assert {device.numa_nodes for device in seen.values()} == {(1,)}


async def test_a_function_with_nodes_of_its_own_brings_those(tree: HardwareTree) -> None:
    """An industrial card."""
    card = tree.pci("0000:00:05.0", "1234:0001", driver="mydrv")
    tree.node(card, "measuring", "adc0")
    [device] = (await found(tree, {"pci": {"driver": "mydrv"}})).values()
    assert nodes(device) == ["/dev/adc0"]


async def test_disks_behind_expanders_are_nodes_of_their_function(tree: HardwareTree) -> None:
    """However many there are in a row."""
    place = tree.pci("0000:05:00.0", driver="mpt3sas")
    place += "/host0/port-0:0/expander-0:0/port-0:0:1/expander-0:1/port-0:1:3/end_device-0:1:3"
    tree.node(f"{place}/target0:0:9/0:0:9:0", "block", "sdb")
    function = (await found(tree, {"pci": {"vendor": "8086"}}))["pci-0000:05:00.0"]
    assert nodes(function) == ["/dev/sdb"]


async def test_a_function_without_nodes_is_sick_and_says_so(tree: HardwareTree) -> None:
    """Rather than to give a container nothing."""
    tree.pci("0000:00:05.0", "1234:0001")
    [device] = (await found(tree, {"pci": {"vendor": "1234"}})).values()
    assert device.reason == "has no device node"


async def test_mediated_devices_are_picked_by_type_and_parent(tree: HardwareTree) -> None:
    """By uuid."""
    card = tree.pci("0000:00:06.0")
    tree.mdev("c3f1", card, "i915-GVTg_V5_4", 20)
    seen = await found(tree, {"mdev": {"type": "i915-*", "parent": "0000:00:06.0"}})
    assert {name: nodes(device) for name, device in seen.items()} == {
        "mdev-c3f1": ["/dev/vfio/vfio", "/dev/vfio/20"]
    }
    assert await found(tree, {"mdev": {"type": "nvidia-*"}}) == {}


@pytest.mark.parametrize(
    ("udev", "chosen"),
    [
        ({"subsystem": "tty", "sysname": "ttyA*"}, ["udev-ttyACM0"]),
        ({"subsystem": "t*", "driver": "cdc"}, ["udev-ttyACM0"]),
        ({"subsystem": "tty", "properties": {"ID_MODEL": "Modem"}}, ["udev-ttyACM0"]),
        ({"subsystem": "tty", "tags": ["systemd"]}, ["udev-ttyACM0"]),
        ({"subsystem": "tty", "attributes": {"type": "16"}}, ["udev-ttyACM0"]),
        ({"subsystem": "tty", "parentAttributes": {"vendor": "0x8086"}}, ["udev-ttyACM0"]),
        ({"subsystem": "tty", "sysname": ["ttyS*", "!ttyS1"]}, ["udev-ttyS0"]),
        ({"sysname": "video*"}, []),
    ],
    ids=str,
)
async def test_udev_selectors_pick_by_all_that_is_known(
    tree: HardwareTree, udev: dict[str, Any], chosen: list[str]
) -> None:
    """Name, driver, property, tag, attribute, attribute above; globs, lists and exclusion."""
    card = tree.pci("0000:00:05.0", driver="cdc")
    tree.node(card, "tty", "ttyACM0", type="16")
    tree.database("c81:1", "E:ID_MODEL=Modem", "G:systemd")
    for name in ("ttyS0", "ttyS1"):
        tree.node("/devices/platform/serial8250", "tty", name, type="4")
    assert [*await found(tree, {"udev": udev})] == chosen


async def test_what_is_denied_is_left_out(tree: HardwareTree) -> None:
    """By address, port, serial or node."""
    for number, serial in enumerate(("A1", "A2", "A3")):
        tree.usb(f"1-{number}", serial=serial, number=number)
    seen = await found(tree, {"usb": {"vendor": "046d"}, "exclude": ["A2", "1-0"]})
    assert [*seen] == ["usb-046d-0825-A3"]


async def test_two_kinds_of_sticks_are_one_device_each_used_once(tree: HardwareTree) -> None:
    """Never all matches in one device."""
    for number, ids in enumerate(("0001:0001", "0001:0001", "0002:0002", "0002:0002", "0002:0002")):
        tree.usb(f"1-{number}", ids, serial=f"S{number}", number=number)
    members = [{"usb": {"vendor": "0001"}}, {"usb": {"vendor": "0002"}}]
    seen = await found(tree, sets=[{"members": members}])
    assert [nodes(device) for device in seen.values()] == [
        ["/dev/bus/usb/001/000", "/dev/bus/usb/001/002"],
        ["/dev/bus/usb/001/001", "/dev/bus/usb/001/003"],
    ]


async def test_zipped_paths_are_put_together_in_order(tree: HardwareTree) -> None:
    """The first of each, the second of each; an optional path may have fewer."""
    for name in ("a0", "a1", "b0", "b1", "c0"):
        tree.char(f"/dev/{name}")
    paths = [{"path": "/dev/a*"}, {"path": "/dev/b*"}, {"path": "/dev/c*", "optional": True}]
    seen = await found(tree, zipped=[{"paths": paths}])
    assert {name: nodes(device) for name, device in seen.items()} == {
        "zip-dev:a0": ["/dev/a0", "/dev/b0", "/dev/c0"],
        "zip-dev:a1": ["/dev/a1", "/dev/b1"],
    }


async def test_the_first_entry_that_selects_a_node_has_it(tree: HardwareTree) -> None:
    """By path or by kind, over all resources."""
    tree.usb("1-2", serial="A1")
    one = {"name": "example.com/one", "hardware": [{"usb": {"vendor": "046d"}}]}
    two = {"name": "example.com/two", "hardware": [{"usb": {"serial": "A1"}}]}
    inventory = await discover(tree, several(one, two))
    assert [device.resource for device in inventory.devices.values()] == ["example.com/one"]


async def test_two_resources_with_parts_of_one_device_do_not_end_the_backend(
    tree: HardwareTree, caplog: pytest.LogCaptureFixture
) -> None:
    """The first has the device; the log says so."""
    camera = tree.usb("1-2", serial="A1")
    tree.node(camera, "video4linux", "video3", interface="1.0")
    one = {"name": "example.com/bus", "hardware": [{"usb": {"vendor": "046d"}}]}
    two = {"name": "example.com/cam", "hardware": [CAMERA | {"group": "parent"}]}
    inventory = await discover(tree, several(one, two))
    assert [device.resource for device in inventory.devices.values()] == ["example.com/bus"]
    assert "device is another resource's already" in caplog.text


@pytest.mark.parametrize(
    ("health", "reason"),
    [
        ({"driver": "uvc*"}, "driver is usb, not uvc*"),
        ({"driver": "usb"}, ""),
        ({"attributes": {"speed": "480"}}, ""),
        ({"attributes": {"speed": "1000.."}}, "speed is '480', not 1000.."),
        ({"attributes": {"speed": "12..480"}}, ""),
        ({"attributes": {"temp": "..90"}}, "temp is missing, not ..90"),
    ],
    ids=str,
)
async def test_conditions_decide_about_health(
    tree: HardwareTree, health: dict[str, Any], reason: str
) -> None:
    """The reason names what is and what should be."""
    tree.write(tree.usb("1-2", serial="A1"), {"speed": "480"})
    [device] = (await found(tree, {"usb": {"vendor": "046d"}, "health": health})).values()
    assert device.reason == reason


async def test_a_hostile_serial_number_harms_nothing(tree: HardwareTree) -> None:
    """No line, path or shell word of its choosing."""
    tree.usb("1-2", serial="x\n; rm -rf $(HOME)/../{id}")
    usb = {"vendor": "046d"}
    [device] = (await found(tree, {"usb": usb}, env={"CAMERA_SERIAL": "{serial}"})).values()
    assert device.edits.envs["CAMERA_SERIAL"] == "x___rm_-rf___HOME_/../_id_"
    assert device.id.startswith("usb-046d-0825-x")
    place = "/dev/cams/{serial}/{node}"
    [device] = (await found(tree, {"usb": usb, "containerPath": place})).values()
    assert (device.reason, nodes(device)) == ("its container path is not usable", [])
