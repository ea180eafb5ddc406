"""Claims about which devices of the configuration exclude each other."""

import stat
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.values.device import Device
from nodeplug.values.edits import DeviceNode
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.hardware import EXCLUSIVE, SHARED, united
from nodeplug.values.inventory import Inventory
from nodeplug_custom.doctor import findings
from nodeplug_custom.explaining import verdicts
from nodeplug_custom.simulator import CustomSimulator
from support.clashes import clashes
from support.custom_host import RESOURCE, FakeHost, Following, backend, discover, several, until
from support.hardware_tree import HardwareTree

CARD, SOUND = "0000:01:00.0", "0000:01:00.1"
FUNCTIONS = {"pci": {"driver": "vfio-pci"}}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    return HardwareTree(tmp_path)


async def found(fake: FakeHost, **keys: Any) -> dict[str, Device]:
    return dict((await discover(fake, several({"name": RESOURCE, **keys}))).devices)


async def by_path(fake: FakeHost, **keys: Any) -> Mapping[str, str]:
    """Return what the one device of an entry says."""
    [device] = (await found(fake, devices=[keys])).values()
    return device.hardware


@pytest.mark.parametrize(
    ("exclusive", "use"), [(None, EXCLUSIVE), (True, EXCLUSIVE), (False, SHARED)]
)
async def test_what_is_no_node_is_its_path(
    fake: FakeHost, *, exclusive: bool | None, use: str
) -> None:
    """Where its links lead to, so that two names of it are one."""
    fake.file("/srv/image")
    fake.path("/srv/link").symlink_to("image")
    entry = {"path": "/srv/link", "type": "file", "exclusive": exclusive}
    assert await by_path(fake, **entry) == {"path /srv/image": use}


@pytest.mark.parametrize(
    ("exclusive", "hardware"),
    [
        (None, {}),
        (True, {"path /dev/kvm": EXCLUSIVE, "char 10:232": EXCLUSIVE}),
        (False, {"path /dev/kvm": SHARED}),
    ],
)
async def test_a_node_is_used_as_it_is_made_unless_told_otherwise(
    fake: FakeHost, *, exclusive: bool | None, hardware: Mapping[str, str]
) -> None:
    """Core knows what many may open."""
    fake.node("/dev/kvm", number="10:232")
    assert await by_path(fake, path="/dev/kvm", exclusive=exclusive) == hardware


@pytest.mark.parametrize(
    ("exclusive", "hardware"),
    [
        (None, {"block 7:3": EXCLUSIVE}),
        (True, {"path /dev/disk": EXCLUSIVE, "block 7:3": EXCLUSIVE}),
        (False, {"path /dev/disk": SHARED, "block 7:3": SHARED}),
    ],
)
async def test_a_node_is_its_number(
    fake: FakeHost, *, exclusive: bool | None, hardware: Mapping[str, str]
) -> None:
    """Whatever links lead to it."""
    fake.node("/dev/disk", stat.S_IFBLK, "7:3")
    fake.path("/dev/link").symlink_to("disk")
    assert await by_path(fake, path="/dev/link", exclusive=exclusive) == hardware


async def test_what_is_not_there_has_no_number(fake: FakeHost) -> None:
    """It may be another's by now."""
    fake.node("/dev/one")
    async with aclosing(_inventories(fake, devices=[{"path": "/dev/one"}])) as inventories:
        before = await anext(inventories)
        fake.remove("/dev/one")
        gone = await until(inventories, lambda each: not _is_well(each))
    [device], [absent] = before.devices.values(), gone.devices.values()
    assert (device.hardware, absent.hardware) == ({"char 240:1": EXCLUSIVE}, {})


ENTRIES = {
    "path": {"devices": [{"path": "/dev/one"}]},
    "udev": {"hardware": [{"udev": {"sysname": "one"}}]},
    "zipped": {"zipped": [{"paths": [{"path": "/dev/first*"}, {"path": "/dev/on*"}]}]},
}


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=ENTRIES)
async def test_another_number_at_the_same_path_is_told(
    tree: HardwareTree, entry: Mapping[str, Any]
) -> None:
    """It is another device, whatever its name: core compares numbers."""
    tree.node(tree.pci("0000:00:02.0"), "misc", "one")
    tree.char("/dev/first")
    async with aclosing(_inventories(tree, **entry)) as inventories:
        [before] = (await anext(inventories)).devices.values()
        tree.remove("/dev/one")
        tree.char("/dev/one", "241:7")
        after = await until(inventories, lambda each: "char 241:7" in _hardware(each))
    assert before.hardware["char 81:1"] == EXCLUSIVE
    assert "char 81:1" not in _hardware(after)


def _hardware(inventory: Inventory) -> Mapping[str, str]:
    return united(each.hardware for each in inventory.devices.values())


def _inventories(fake: FakeHost, **keys: Any) -> Following:
    return Following(backend(fake, several({"name": RESOURCE, **keys})).inventories())


@pytest.mark.parametrize("path", ["/srv/jail/dev/a0", "/run/x/a0"])
@pytest.mark.parametrize("kind", ["devices", "zipped"])
async def test_a_number_is_one_device_wherever_its_node_is(
    fake: FakeHost, path: str, kind: str
) -> None:
    """Core does not look outside /dev, where a file system may hang."""
    for each in ("/dev/a0", "/opt/dev/a0", path):
        fake.node(each, number="81:4")
    entries = [{"path": each} for each in ("/opt/dev/a0", path)]
    wanted = entries if kind == "devices" else [{"paths": [each]} for each in entries]
    one, other = (await found(fake, **{kind: wanted})).values()
    own = (await found(fake, devices=[{"path": "/dev/a0"}])).values()
    assert one.hardware == other.hardware == {"char 81:4": EXCLUSIVE}
    assert len(clashes([one, other, *own])) == 3


async def test_mounts_and_variables_are_no_hardware(fake: FakeHost) -> None:
    """Many containers read one file of settings."""
    fake.node("/dev/one")
    more = {"mounts": [{"hostPath": "/etc/thing"}], "env": {"THING": "{path}"}}
    [device] = (await found(fake, devices=[{"path": "/dev/one"}], **more)).values()
    assert device.hardware == {fake.number("/dev/one"): EXCLUSIVE}


@pytest.mark.parametrize("key", ["true", "false"])
async def test_hardware_may_be_shared_or_kept_apart(tree: HardwareTree, key: str) -> None:
    """Node by node; other parts of the function may be others'."""
    card = tree.pci("0000:00:02.0", driver="i915")
    tree.node(card, "drm", "card0")
    entry = {"pci": {"driver": "i915"}, "exclusive": key == "true"}
    [device] = (await found(tree, hardware=[entry])).values()
    whole = {"pci 0000:00:02.0": EXCLUSIVE} if key == "true" else {}
    use = EXCLUSIVE if key == "true" else SHARED
    assert device.hardware == {**whole, "path /dev/card0": use, "char 81:1": use}


async def test_a_whole_function_excludes_its_parts(tree: HardwareTree) -> None:
    """Those that this configuration does not name."""
    tree.node(tree.pci("0000:00:02.0", driver="i915"), "drm", "card0")
    [device] = (await found(tree, hardware=[{"pci": {"driver": "i915"}}])).values()
    assert device.hardware == {"pci 0000:00:02.0": EXCLUSIVE, "char 81:1": EXCLUSIVE}


async def test_a_node_below_a_function_is_not_the_function(tree: HardwareTree) -> None:
    """What is above a node is core's to find."""
    tree.node(tree.pci("0000:00:02.0", driver="i915"), "drm", "card0")
    entry = {"pci": {"driver": "i915"}, "udev": {"subsystem": "drm"}, "group": "parent"}
    [device] = (await found(tree, hardware=[entry])).values()
    assert device.hardware == {"char 81:1": EXCLUSIVE}


async def test_functions_for_vfio_share_its_control_node(tree: HardwareTree) -> None:
    """Whatever is said of their own nodes."""
    tree.vfio(CARD, 16)
    tree.vfio(SOUND, 17)
    devices = await found(tree, hardware=[{**FUNCTIONS, "exclusive": True}])
    assert devices[f"pci-{CARD}"].hardware == {
        f"pci {CARD}": EXCLUSIVE,
        "path /dev/vfio/vfio": SHARED,
        "path /dev/vfio/16": EXCLUSIVE,
        tree.number("/dev/vfio/16"): EXCLUSIVE,
    }
    assert clashes(devices.values()) == set()


async def test_each_function_of_a_group_is_a_device(tree: HardwareTree) -> None:
    """A card and its sound, also as two resources; a container gets both, or two get one each."""
    tree.vfio(CARD, 16, ids="10de:2684")
    tree.vfio(SOUND, 16, ids="10de:22ba")
    devices = await found(tree, hardware=[FUNCTIONS])
    both = (f"pci-{CARD}", f"pci-{SOUND}")
    assert clashes(devices.values()) == {both}
    one = {"name": "example.com/card", "hardware": [{"pci": {"device": "2684"}}]}
    other = {"name": "example.com/sound", "hardware": [{"pci": {"device": "22ba"}}]}
    wanted = several(one, other)
    assert clashes((await discover(tree, wanted)).devices.values()) == {both}
    told = [(each.resource, each.device) for each in verdicts(wanted, tree.host)]
    assert told == [("example.com/card", both[0]), ("example.com/sound", both[1])]
    [finding] = [each for each in findings(wanted, tree.host.root) if "IOMMU" in each.subject]
    said = f"while a container has one of {', '.join(both)}, no other gets the rest"
    assert (finding.subject, finding.finding) == ("IOMMU group 16", said)


async def test_a_function_is_served_once(tree: HardwareTree) -> None:
    """The first entry has it, also where its group is another's too."""
    tree.vfio(CARD, 16)
    first = {"name": "example.com/first", "hardware": [FUNCTIONS]}
    second = {"name": "example.com/second", "hardware": [FUNCTIONS]}
    devices = (await discover(tree, several(first, second))).devices
    assert [each.resource for each in devices.values()] == ["example.com/first"]


async def test_a_group_that_vfio_refuses_is_sick(tree: HardwareTree) -> None:
    """The reason says what to unbind."""
    tree.vfio(CARD, 16)
    tree.group(tree.pci(SOUND, driver="snd_hda_intel"), 16)
    [device] = (await found(tree, hardware=[FUNCTIONS])).values()
    assert device.reason == f"{SOUND} in its IOMMU group 16 is bound to snd_hda_intel"


async def test_a_driver_of_a_sibling_is_told_at_once(tree: HardwareTree) -> None:
    """Although nothing selects the sibling."""
    tree.vfio(CARD, 16)
    sound = tree.pci(SOUND)
    tree.group(sound, 16)
    wanted = several({"name": RESOURCE, "hardware": [FUNCTIONS]})
    async with aclosing(Following(backend(tree, wanted).inventories())) as following:
        await until(following, _is_well)
        tree.bind(sound, "snd_hda_intel")
        send_uevent(tree.socket, Uevent("bind", sound, "pci", "", {}))
        await until(following, lambda each: not _is_well(each))
        tree.bind(sound, "")
        send_uevent(tree.socket, Uevent("unbind", sound, "pci", "", {}))
        await until(following, _is_well)


def _is_well(inventory: Inventory) -> bool:
    return all(each.healthy for each in inventory.devices.values())


async def test_without_an_iommu_the_group_has_another_node(tree: HardwareTree) -> None:
    """The kernel's name for it says so."""
    tree.vfio(CARD, 16)
    tree.char("/dev/vfio/noiommu-16")
    tree.path("/sys/kernel/iommu_groups/16/name").write_text("vfio-noiommu\n")
    [device] = (await found(tree, hardware=[FUNCTIONS])).values()
    assert [node.host_path for node in device.edits.nodes] == [
        "/dev/vfio/vfio",
        "/dev/vfio/noiommu-16",
    ]
    assert device.healthy


ROWS = [
    {"paths": [{"path": "/dev/render0"}, {"path": "/dev/control"}]},
    {"paths": [{"path": "/dev/render1"}, {"path": "/dev/control"}]},
]


async def test_what_accompanies_several_devices_is_shared(fake: FakeHost) -> None:
    """A control node that all rows list makes them not one."""
    for name in ("render0", "render1", "control"):
        fake.node(f"/dev/{name}")
    devices = await found(fake, zipped=ROWS)
    assert len(devices) == 2
    control = {"path /dev/control": SHARED, fake.number("/dev/control"): SHARED}
    for number, each in enumerate(devices.values()):
        own = {fake.number(f"/dev/render{number}"): EXCLUSIVE}
        assert each.hardware == {**own, **control}
    assert clashes(devices.values()) == set()


GLOB = [{"paths": [{"path": "/dev/render*"}, {"path": "/dev/control"}]}]


@pytest.mark.parametrize(
    ("rows", "use"),
    [(ROWS, SHARED), (GLOB, SHARED), (ROWS[:1], EXCLUSIVE)],
    ids=["several rows", "a first path for several", "one row"],
)
async def test_what_accompanies_is_shared_by_the_first_alone(
    fake: FakeHost, rows: list[dict[str, Any]], use: str
) -> None:
    """What is configured decides, not who was there first."""
    for name in ("render0", "control"):
        fake.node(f"/dev/{name}")
    [device] = (await found(fake, zipped=rows)).values()
    own, control = fake.number("/dev/render0"), fake.number("/dev/control")
    told = {"path /dev/control": SHARED} if use == SHARED else {}
    assert device.hardware == {own: EXCLUSIVE, control: use, **told}


@pytest.mark.parametrize("kind", ["devices", "zipped"])
async def test_a_directory_of_nodes_is_each_of_them(fake: FakeHost, kind: str) -> None:
    """Whoever has one of them excludes whoever has the directory."""
    for name in ("d/a", "d/deep/b"):
        fake.node(f"/dev/{name}")
    entry = {"path": "/dev/d", "type": "nodes"}
    whole = {"devices": [entry]} if kind == "devices" else {"zipped": [{"paths": [entry]}]}
    part = {"name": "example.com/part", "devices": [{"path": "/dev/d/deep/b"}]}
    wanted = several({"name": RESOURCE, **whole}, part)
    found_by_id = (await discover(fake, wanted)).devices
    [device] = (each for each in found_by_id.values() if each.resource == RESOURCE)
    assert {*device.hardware} == {fake.number("/dev/d/a"), fake.number("/dev/d/deep/b")}


async def test_a_node_with_a_limit_is_in_so_many_rows_wherever_it_stands(fake: FakeHost) -> None:
    """And is shared by them; a row is known by what is its own."""
    for name in ("control", "render0", "render1", "render2"):
        fake.node(f"/dev/{name}")
    paths = [{"path": "/dev/control", "limit": 2}, {"path": "/dev/render*"}]
    devices = await found(fake, zipped=[{"paths": paths}])
    assert [*devices] == ["zip-dev:render0", "zip-dev:render1"]
    assert {d.edits.nodes[0].host_path for d in devices.values()} == {"/dev/control"}
    assert clashes(devices.values()) == set()


async def test_a_row_with_a_shared_node_stays_when_another_goes(fake: FakeHost) -> None:
    """Its place among the users of that node is its own."""
    for name in ("control", "render0", "render1"):
        fake.node(f"/dev/{name}")
    paths = [{"path": "/dev/control", "limit": 2}, {"path": "/dev/render*"}]
    wanted = several({"name": RESOURCE, "zipped": [{"paths": paths}]})
    async with aclosing(backend(fake, wanted).inventories()) as inventories:
        await anext(inventories)
        fake.remove("/dev/render0")
        devices = (await anext(inventories)).devices
    health = {name: device.reason for name, device in devices.items()}
    assert health == {
        "zip-dev:render0": "/dev/render0 of the row is not present",
        "zip-dev:render1": "",
    }


@pytest.mark.parametrize(
    "kind",
    [
        {"devices": [{"path": "/dev/render*"}]},
        {"zipped": [{"paths": [{"path": "/dev/render*"}]}]},
    ],
    ids=["path", "zipped"],
)
async def test_nodes_of_a_resource_come_with_each_device(
    fake: FakeHost, kind: dict[str, Any]
) -> None:
    """And keep nobody back; without them there is nothing to give."""
    for name in ("control", "render0", "render1"):
        fake.node(f"/dev/{name}")
    node = {"path": "/dev/control", "containerPath": "/dev/c", "permissions": "r"}
    made = backend(fake, several({"name": RESOURCE, **kind, "nodes": [node]}))
    async with aclosing(made.inventories()) as inventories:
        each = [*(await anext(inventories)).devices.values()]
        shared = DeviceNode("/dev/control", "/dev/c", "r")
        assert [device.edits.nodes[1:] for device in each] == [(shared,), (shared,)]
        assert clashes(each) == set()
        await made.allocate(RESOURCE, each)
        fake.remove("/dev/control")
        with pytest.raises(AllocationRefusedError, match="/dev/control of device"):
            await made.allocate(RESOURCE, each[:1])


async def test_a_mounted_device_with_nodes_is_looked_at_too(fake: FakeHost) -> None:
    """Both belong to it."""
    fake.node("/dev/control")
    fake.file("/dev/f")
    entry = {"name": RESOURCE, "devices": [{"path": "/dev/f", "type": "file"}]}
    made = backend(fake, several({**entry, "nodes": [{"path": "/dev/control"}]}))
    async with aclosing(made.inventories()) as inventories:
        [device] = (await anext(inventories)).devices.values()
        fake.remove("/dev/f")
        with pytest.raises(AllocationRefusedError, match="/dev/f of device"):
            await made.allocate(RESOURCE, [device])


async def test_a_limit_alone_makes_no_more_devices(fake: FakeHost) -> None:
    """It says how often a match is used, not by how many."""
    fake.node("/dev/control")
    devices = await found(fake, zipped=[{"paths": [{"path": "/dev/control", "limit": 10}]}])
    assert [*devices] == ["zip-dev:control"]


async def test_a_row_may_be_of_optional_paths_alone(fake: FakeHost) -> None:
    """One that is there makes it."""
    fake.node("/dev/b")
    paths = [{"path": f"/dev/{name}", "optional": True} for name in "abc"]
    [device] = (await found(fake, zipped=[{"paths": paths}])).values()
    assert (device.healthy, [node.host_path for node in device.edits.nodes]) == (True, ["/dev/b"])


@pytest.mark.parametrize("second", ["/dev/control*", "/dev/control"])
async def test_a_first_path_and_wildcards_accompany_nobody(fake: FakeHost, second: str) -> None:
    """Each row has a match of its own; the first is what the row is."""
    fake.node("/dev/control")
    fake.node("/dev/render0")
    first = "/dev/render*" if second.endswith("*") else "/dev/render0"
    rows = [{"paths": [{"path": first}, {"path": second, "optional": True}]}]
    [device] = (await found(fake, zipped=rows)).values()
    assert {*device.hardware.values()} == {EXCLUSIVE}


async def test_what_a_row_is_known_by_is_its_own(fake: FakeHost) -> None:
    """Only what comes after it may be several rows'."""
    for name in ("render0", "render1", "control"):
        fake.node(f"/dev/{name}")
    last = {"paths": [{"path": "/dev/control"}, {"path": "/dev/render1"}]}
    devices = await found(fake, zipped=[ROWS[0], last])
    assert [*devices] == ["zip-dev:render0"]


async def test_a_row_that_is_alone_may_want_its_companion_alone(fake: FakeHost) -> None:
    """The key wins over what the paths tell."""
    fake.node("/dev/render0")
    fake.node("/dev/control")
    rows = [{"paths": [GLOB[0]["paths"][0], {**GLOB[0]["paths"][1], "exclusive": True}]}]
    [device] = (await found(fake, zipped=rows)).values()
    assert {*device.hardware.values()} == {EXCLUSIVE}


async def test_a_row_may_want_its_companion_alone(fake: FakeHost) -> None:
    """Then one container at a time has any of them."""
    for name in ("render0", "render1", "control"):
        fake.node(f"/dev/{name}")
    rows = [{"paths": [row["paths"][0], {**row["paths"][1], "exclusive": True}]} for row in ROWS]
    assert len(clashes((await found(fake, zipped=rows)).values())) == 1


async def test_two_resources_share_a_node_if_both_say_so(fake: FakeHost) -> None:
    """Each has a device of it, with an id of its own, whatever comes first."""
    fake.node("/dev/both")
    fake.node("/dev/first")
    path = {"path": "/dev/both", "exclusive": False}
    own = {"path": "/dev/first"}
    rows = [[path, own], [path]]
    wanted = [
        {"name": f"example.com/{n}", "zipped": [{"paths": row}]} for n, row in enumerate(rows)
    ]
    shared = (await discover(fake, several(*wanted))).devices.values()
    assert sorted(each.resource for each in shared) == ["example.com/0", "example.com/1"]
    assert clashes(shared) == set()
    del path["exclusive"]
    [alone] = (await discover(fake, several(*wanted))).devices.values()
    assert alone.resource == "example.com/0"


async def test_two_resources_do_not_share_a_node(fake: FakeHost) -> None:
    """Only within one is it meant; the first has it."""
    for name in ("render0", "render1", "control"):
        fake.node(f"/dev/{name}")
    wanted = [{"name": f"example.com/{n}", "zipped": [row]} for n, row in enumerate(ROWS)]
    devices = (await discover(fake, several(*wanted))).devices
    assert [each.resource for each in devices.values()] == ["example.com/0"]


async def test_all_devices_of_the_simulator_can_be_in_use_at_once(fake: FakeHost) -> None:
    """Each has a number of its own."""
    [resource] = CustomSimulator(fake.folder).settings["resources"]
    devices = [*(await discover(fake, several(resource))).devices.values()]
    assert len(devices) == 4
    assert clashes(devices, fake.host.root) == set()


async def test_a_set_of_one_group_has_its_node_once(tree: HardwareTree) -> None:
    """What doctor recommends for a card and its sound."""
    tree.vfio(CARD, 16, ids="10de:2684")
    tree.vfio(SOUND, 16, ids="10de:22ba")
    members = [{"pci": {"device": "2684"}}, {"pci": {"device": "22ba"}}]
    [device] = (await found(tree, sets=[{"members": members}])).values()
    assert [node.host_path for node in device.edits.nodes] == ["/dev/vfio/vfio", "/dev/vfio/16"]
    assert {key for key in device.hardware if key.startswith("pci")} == {
        f"pci {CARD}",
        f"pci {SOUND}",
    }
