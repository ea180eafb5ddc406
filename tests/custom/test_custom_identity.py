"""A thing in use keeps its id whatever is plugged beside it, over restarts of the agent too."""

from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nodeplug.host.identities import Identities
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from support.custom_host import RESOURCE, several
from support.hardware_tree import HardwareTree

Served = Mapping[str, Any]
USB: Served = {"hardware": [{"usb": {"vendor": "046d"}}]}
BLOCK: Served = {"hardware": [{"usb": {"vendor": "046d"}, "udev": {"subsystem": "block"}}]}
INPUT: Served = {"hardware": [{"usb": {"vendor": "046d"}, "udev": {"subsystem": "input"}}]}
STICK = "usb-046d-0825-A1"


class Tree(HardwareTree):
    """Devices wherever the kernel would have them."""

    def usb(
        self, port: str, ids: str = "046d:0825", serial: str = "", number: int = 5, slot: str = "14"
    ) -> str:
        bus, (vendor, product) = port.partition("-")[0], ids.split(":")
        devpath = f"/devices/pci0000:00/0000:00:{slot}.0/usb{bus}/{port}"
        self._device(devpath, "bus", "usb", "usb")
        files = {"idVendor": vendor, "idProduct": product, "busnum": bus, "devnum": str(number)}
        self.write(devpath, files | {"bDeviceClass": "00"} | ({"serial": serial} if serial else {}))
        self.char(f"/dev/bus/usb/{int(bus):03}/{number:03}")
        return devpath

    def at(self, devpath: str, subsystem: str) -> str:
        """Add a device with a node at a path."""
        name = devpath.rpartition("/")[2]
        self._device(devpath, "class", subsystem, "")
        self.write(devpath, {"uevent": f"DEVNAME={name}"})
        self.char(f"/dev/{name}")
        return devpath


class Agent:
    """Looks at a host, again and again."""

    def __init__(self, folder: Path) -> None:
        (folder / "host").mkdir()
        self.tree = Tree(folder / "host")
        self._file = folder / "identities.json"
        self.restart()

    def restart(self, *, forget: bool = False) -> None:
        if forget:
            self._file.unlink(missing_ok=True)
        self._identities, self._memory = Identities(self._file), Memory()

    async def serves(self, *resources: Mapping[str, Any]) -> dict[str, str]:
        """Return the nodes of each device that is well, and why the others are not."""
        named = [{"name": RESOURCE} | dict(each) for each in resources]
        host = replace(self.tree.host, identities=self._identities)
        backend = CustomBackend(several(*named), host, self._memory)
        async with aclosing(backend.inventories()) as inventories:
            devices = (await anext(inventories)).devices
        return {
            name: device.reason or " ".join(node.host_path for node in device.edits.nodes)
            for name, device in devices.items()
        }

    def link(self, name: str, target: str) -> None:
        new = self.tree.path("/dev/new-link")
        new.symlink_to(target)
        new.rename(self.tree.path(name))


@pytest.fixture(name="agent")
def _agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
async def test_a_stick_keeps_its_id_when_others_of_its_serial_come(
    agent: Agent, *, restarts: bool
) -> None:
    """Row C1: they get their ports besides, whatever their order; the first one does when it goes.

    So does the one in use when the others have gone.
    """
    agent.tree.usb("1-2", serial="A1", number=2)
    assert await agent.serves(USB) == {STICK: "/dev/bus/usb/001/002"}
    twins = [agent.tree.usb(f"1-{port}", serial="A1", number=port) for port in (1, 10)]
    all_three = {
        STICK: "/dev/bus/usb/001/002",
        f"{STICK}-1-1": "/dev/bus/usb/001/001",
        f"{STICK}-1-10": "/dev/bus/usb/001/010",
    }
    if restarts:
        agent.restart()
    assert await agent.serves(USB) == all_three
    for twin in twins:
        agent.tree.unplug(twin)
    if restarts:
        agent.restart()
    assert (await agent.serves(USB))[STICK] == "/dev/bus/usb/001/002"


async def test_a_stick_in_use_that_is_away_keeps_its_id_from_its_twin(agent: Agent) -> None:
    """And has it when it comes back."""
    agent.tree.usb("1-1", serial="A1", number=1)
    assert await agent.serves(USB) == {STICK: "/dev/bus/usb/001/001"}
    agent.tree.usb("1-2", serial="A1", number=2)
    await agent.serves(USB)
    agent.tree.unplug("/devices/pci0000:00/0000:00:14.0/usb1/1-1")
    agent.restart()
    assert await agent.serves(USB) == {f"{STICK}-1-2": "/dev/bus/usb/001/002"}
    agent.tree.usb("1-1", serial="A1", number=9)
    assert (await agent.serves(USB))[STICK] == "/dev/bus/usb/001/009"


async def test_twins_that_were_there_before_the_agent_both_have_their_ports(agent: Agent) -> None:
    """Without a memory nobody knows whose the short id was; nobody gets it by mistake."""
    for number, port in enumerate(("1-2", "1-10")):
        agent.tree.usb(port, serial="A1", number=number)
    both = {f"{STICK}-1-2": "/dev/bus/usb/001/000", f"{STICK}-1-10": "/dev/bus/usb/001/001"}
    assert await agent.serves(USB) == both
    agent.restart(forget=True)
    assert await agent.serves(USB) == both


async def test_twins_of_several_entries_are_told_apart_as_well(agent: Agent) -> None:
    """What each entry selects decides nothing."""
    agent.tree.usb("1-2", serial="A1", number=2)
    two = [{"name": f"example.com/{n}", "hardware": [{"usb": {"port": f"1-{n}"}}]} for n in (1, 2)]
    await agent.serves(*two)
    agent.tree.usb("1-1", serial="A1", number=1)
    assert await agent.serves(*two) == {
        STICK: "/dev/bus/usb/001/002",
        f"{STICK}-1-1": "/dev/bus/usb/001/001",
    }


async def test_twins_keep_their_ids_when_the_buses_are_numbered_anew(agent: Agent) -> None:
    """At another start the kernel may find the controllers in another order."""
    tree = agent.tree
    tree.usb("1-2", serial="A1", number=2)
    await agent.serves(USB)
    tree.usb("3-2", serial="A1", number=3, slot="15")
    assert [*await agent.serves(USB)] == [STICK, f"{STICK}-3-2"]
    for slot, port in ((14, "1-2"), (15, "3-2")):
        tree.unplug(f"/devices/pci0000:00/0000:00:{slot}.0/usb{port[0]}/{port}")
        (tree.folder / f"sys/devices/pci0000:00/0000:00:{slot}.0/usb{port[0]}").rmdir()
    tree.usb("3-2", serial="A1", number=2)
    tree.usb("1-2", serial="A1", number=3, slot="15")
    agent.restart()
    assert await agent.serves(USB) == {
        STICK: "/dev/bus/usb/003/002",
        f"{STICK}-3-2": "/dev/bus/usb/001/003",
    }


async def test_a_partition_table_moves_no_disk(agent: Agent) -> None:
    """Row C2: two disks of one device; then the first gets partitions."""
    stick = agent.tree.usb("1-2", serial="A1")
    for lun in (0, 1):
        scsi = f"{stick}/1-2:1.0/host6/target6:0:0/6:0:0:{lun}"
        agent.tree.at(f"{scsi}/block/sd{'ab'[lun]}", "block")
    disk = f"{STICK}-block-1.0"
    before = await agent.serves(BLOCK)
    assert before == {disk: "/dev/sda", f"{disk}-0:0:1": "/dev/sdb"}
    sda = f"{stick}/1-2:1.0/host6/target6:0:0/6:0:0:0/block/sda"
    for number in (1, 2):
        agent.tree.at(f"{sda}/sda{number}", "block")
    partitions = {f"{disk}-0:0:0-p{number}": f"/dev/sda{number}" for number in (1, 2)}
    after = before | partitions
    assert await agent.serves(BLOCK) == after
    agent.restart()
    assert await agent.serves(BLOCK) == after


async def test_what_is_plugged_again_keeps_its_ids_under_other_numbers(agent: Agent) -> None:
    """Row C4: two functions on one interface; 99 and 100 are compared as numbers."""

    def plug(*numbers: int) -> str:
        mouse = agent.tree.usb("1-2", serial="A1")
        for number in numbers:
            function = f"{mouse}/1-2:1.0/0003:046D:0825.0{numbers[0]:03X}/input/input{number}"
            agent.tree.at(f"{function}/event{number - 90}", "input")
        return mouse

    first, second = f"{STICK}-input-1.0", f"{STICK}-input-1.0-event"
    mouse = plug(98, 99)
    assert await agent.serves(INPUT) == {first: "/dev/event8", second: "/dev/event9"}
    agent.tree.unplug(mouse)
    gone = {first: "not present", second: "not present"}
    assert await agent.serves(INPUT) == gone
    mouse = plug(99, 100)
    assert await agent.serves(INPUT) == {first: "/dev/event9", second: "/dev/event10"}
    agent.tree.unplug(mouse)
    agent.restart()
    plug(1000, 999)
    assert await agent.serves(INPUT) == {first: "/dev/event909", second: "/dev/event910"}


async def test_nodes_of_one_device_are_in_the_order_of_their_numbers(agent: Agent) -> None:
    """Containers find the same function in the same place after each replug."""
    mouse = agent.tree.usb("1-2", serial="A1")
    for number in (9, 10):
        agent.tree.at(f"{mouse}/1-2:1.0/input/input{number}/event{number}", "input")
    [entry] = INPUT["hardware"]
    whole = {"hardware": [entry | {"group": "parent"}]}
    assert await agent.serves(whole) == {STICK: "/dev/event9 /dev/event10"}


async def test_parts_of_a_pci_function_are_told_apart_by_what_they_are(agent: Agent) -> None:
    """A counter would depend on which is there."""
    card = agent.tree.pci("0000:00:05.0", "1234:0001")
    agent.tree.node(card, "drm", "renderD129")
    wanted = {"hardware": [{"pci": {"vendor": "1234"}, "udev": {"subsystem": "drm"}}]}
    name = "pci-0000:00:05.0-drm"
    assert await agent.serves(wanted) == {name: "/dev/renderD129"}
    agent.tree.node(card, "drm", "card1")
    assert await agent.serves(wanted) == {name: "/dev/renderD129", f"{name}-card": "/dev/card1"}


ZIPPED: Served = {"zipped": [{"paths": [{"path": "/dev/a*"}, {"path": "/dev/b*"}]}]}


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
async def test_rows_keep_what_belongs_to_them(agent: Agent, *, restarts: bool) -> None:
    """A row that lacks something is sick; nothing of it goes to another."""
    for name in ("a1", "a2", "b1", "b2"):
        agent.tree.char(f"/dev/{name}")
    before = await agent.serves(ZIPPED)
    assert before == {"zip-dev:a1": "/dev/a1 /dev/b1", "zip-dev:a2": "/dev/a2 /dev/b2"}
    if restarts:
        agent.restart()
    agent.tree.remove("/dev/a1")
    lacks = {"zip-dev:a1": "/dev/a1 of the row is not present"}
    assert await agent.serves(ZIPPED) == before | lacks
    for name in ("a0", "b0"):
        agent.tree.char(f"/dev/{name}")
    if restarts:
        agent.restart()
    assert await agent.serves(ZIPPED) == before | lacks | {"zip-dev:a0": "/dev/a0 /dev/b0"}
    agent.tree.char("/dev/a1")
    assert await agent.serves(ZIPPED) == before | {"zip-dev:a0": "/dev/a0 /dev/b0"}


async def test_a_row_keeps_its_id_when_an_optional_path_comes_before(agent: Agent) -> None:
    """It joins the row and does not name it."""
    agent.tree.char("/dev/b1")
    paths = [{"path": "/dev/a*", "optional": True}, {"path": "/dev/b*"}]
    wanted = {"zipped": [{"paths": paths}]}
    assert await agent.serves(wanted) == {"zip-dev:b1": "/dev/b1"}
    agent.tree.char("/dev/a1")
    assert await agent.serves(wanted) == {"zip-dev:b1": "/dev/a1 /dev/b1"}
    agent.tree.remove("/dev/a1")
    agent.tree.char("/dev/a0")
    assert await agent.serves(wanted) == {"zip-dev:b1": "/dev/b1"}


def of_kinds(*members: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [
        {"udev": {"subsystem": kind}} | dict(more) for kind, more in zip("ab", members, strict=True)
    ]
    return {"sets": [{"members": kinds}]}


async def test_sets_are_the_same_after_a_restart(agent: Agent) -> None:
    """What is new is put together from what is free."""
    for kind, name in (("a", "a1"), ("a", "a2"), ("b", "b2")):
        agent.tree.node("/devices/virtual", kind, name)
    wanted = of_kinds({}, {})
    assert await agent.serves(wanted) == {"set-udev-a1-udev-b2": "/dev/a1 /dev/b2"}
    agent.tree.node("/devices/virtual", "b", "b1")
    both = {"set-udev-a1-udev-b2": "/dev/a1 /dev/b2", "set-udev-a2-udev-b1": "/dev/a2 /dev/b1"}
    assert await agent.serves(wanted) == both
    agent.restart()
    assert await agent.serves(wanted) == both


async def test_sets_are_made_anew_when_others_are_wanted(agent: Agent) -> None:
    """Not when something else of the configuration changes."""
    for kind, name in (("a", "a1"), ("b", "b1"), ("b", "b2")):
        agent.tree.node("/devices/virtual", kind, name)
    await agent.serves(of_kinds({}, {}))
    changed = {"health": {"driver": "!nothing"}, "permissions": "r"}
    agent.restart()
    assert [*await agent.serves(of_kinds({}, changed))] == ["set-udev-a1-udev-b1"]
    agent.restart()
    assert [*await agent.serves(of_kinds({}, {"exclude": ["b1"]}))] == ["set-udev-a1-udev-b2"]


async def test_a_set_that_is_gone_altogether_is_not_listed_for_ever(agent: Agent) -> None:
    """After a restart it is only remembered."""
    nodes = [agent.tree.node("/devices/virtual", kind, f"{kind}1") for kind in "ab"]
    await agent.serves(of_kinds({}, {}))
    for node in nodes:
        agent.tree.unplug(node)
    assert await agent.serves(of_kinds({}, {})) == {"set-udev-a1-udev-b1": "not present"}
    agent.restart()
    assert await agent.serves(of_kinds({}, {})) == {}


LINKS: Served = {"devices": [{"path": "/dev/link-*"}]}


@pytest.mark.parametrize("first", ["a", "b"])
async def test_a_node_keeps_its_id_while_links_to_it_come_and_go(agent: Agent, first: str) -> None:
    """One of two that lead to it is enough; a new one of more right takes nothing away."""
    agent.tree.char("/dev/real")
    agent.link(f"/dev/link-{first}", "real")
    known = {f"dev:link-{first}": "/dev/real"}
    assert await agent.serves(LINKS) == known
    other = "ab".replace(first, "")
    agent.link(f"/dev/link-{other}", "real")
    assert await agent.serves(LINKS) == known
    agent.tree.remove(f"/dev/link-{first}")
    assert await agent.serves(LINKS) == known


async def test_a_link_that_leads_elsewhere_takes_no_id_along_that_is_in_use(agent: Agent) -> None:
    """Its new target is known by its own path while the former is served under the link's."""
    for name in ("real0", "real1"):
        agent.tree.char(f"/dev/{name}")
    agent.link("/dev/link-a", "real0")
    agent.link("/dev/link-b", "real0")
    assert await agent.serves(LINKS) == {"dev:link-a": "/dev/real0"}
    agent.link("/dev/link-a", "real1")
    assert await agent.serves(LINKS) == {"dev:link-a": "/dev/real0", "dev:real1": "/dev/real1"}


async def test_another_node_in_the_place_of_the_former_has_an_id_of_its_own(agent: Agent) -> None:
    """The kernel may give a disk the name and the number of one that was pulled."""
    agent.tree.char("/dev/sda")
    agent.link("/dev/link-x", "sda")
    await agent.serves(LINKS)
    agent.tree.path("/dev/keeps-the-inode").hardlink_to(agent.tree.path("/dev/sda"))
    for name in ("sda", "link-x"):
        agent.tree.remove(f"/dev/{name}")
    agent.tree.char("/dev/sda")
    agent.link("/dev/link-y", "sda")
    served = await agent.serves(LINKS)
    assert served == {"dev:link-x": "not present", "dev:link-y": "/dev/sda"}


async def test_a_node_goes_to_the_first_entry_under_the_id_of_its_path(agent: Agent) -> None:
    """A new configuration decides afresh between resources, and ids stay in theirs."""
    agent.tree.char("/dev/real")
    for name in "ab":
        agent.link(f"/dev/link-{name}", "real")
    one, two = (
        {"name": f"example.com/{name}", "devices": [{"path": f"/dev/link-{name}"}]} for name in "ab"
    )
    assert await agent.serves(two, one) == {"dev:link-b": "/dev/real"}
    assert await agent.serves(one, two) == {"dev:link-a": "/dev/real"}


async def test_ids_are_those_of_the_release_before_where_nothing_is_ambiguous(agent: Agent) -> None:
    """Without a memory, as after an upgrade."""
    tree = agent.tree
    camera = tree.usb("1-2", serial="A1")
    tree.node(camera, "video4linux", "video3", interface="1.0", index="0")
    tree.usb("1-3", number=6)
    long = tree.usb("1-4", serial="L" * 40, number=7)
    tree.node(long, "video4linux", "video4", interface="1.0")
    tree.vfio("0000:00:03.0", 12)
    tree.node("/devices/virtual", "rtc", "rtc0")
    usb = {"vendor": "046d"}
    served = await agent.serves(
        {"hardware": [{"usb": usb, "udev": {"subsystem": "video4linux"}}]},
        {"name": "example.com/whole", "hardware": [{"usb": usb}]},
        {"name": "example.com/rest", "hardware": [{"pci": {"driver": "vfio-pci"}}]},
        {"name": "example.com/clock", "hardware": [{"udev": {"subsystem": "rtc"}}]},
    )
    assert sorted(served) == [
        "pci-0000:00:03.0",
        "udev-rtc0",
        "usb-046d-0825-A1",
        "usb-046d-0825-A1-video4linux-1.0-0",
        "usb-046d-0825-LLLLLLLLLLLLLLLLLLLLLLLLL-305b271ec6f2afa8",
        "usb-046d-0825-" + "L" * 40,
        "usb-1-3",
    ]


async def test_a_link_keeps_its_disk_whatever_the_kernel_calls_it(agent: Agent) -> None:
    """Row C20: at another start disks may be found in another order."""
    by_name = {"hardware": [{"udev": {"subsystem": "block"}}]}
    by_link = {"devices": [{"path": "/dev/disk/by-id/*"}]}
    link, name = ("dev:disk:by-id:A", "dev:disk:by-id:B"), ("udev-sda", "udev-sdb")
    (agent.tree.folder / "dev/disk/by-id").mkdir(parents=True)

    def start(*letters: str) -> None:
        agent.restart()
        for disk, letter in zip("AB", letters, strict=True):
            agent.tree.at(f"/devices/platform/{disk}/block/sd{letter}", "block")
            agent.link(f"/dev/disk/by-id/{disk}", f"../../sd{letter}")

    start("a", "b")
    nodes = "/dev/sda", "/dev/sdb"
    assert await agent.serves(by_link) == dict(zip(link, nodes, strict=True))
    for disk in "AB":
        agent.tree.unplug(f"/devices/platform/{disk}")
    start("b", "a")
    assert await agent.serves(by_link) == dict(zip(link, reversed(nodes), strict=True))
    assert await agent.serves(by_name) == dict(zip(name, nodes, strict=True))
