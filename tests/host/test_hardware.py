"""Claims about what hardware is behind device nodes, and who collides with whom."""

import ctypes
import fcntl
import itertools
import os
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from nodeplug.host.hardware import OPENED_BY_MANY, Hardware
from nodeplug.host.root import HostRoot
from nodeplug.values.hardware import EXCLUSIVE, PART, HardwareKey, Use, Uses, meet
from support.needs import require

PCI = "/devices/pci0000:00"
PORT = f"{PCI}/0000:00:01.0"
NIC, VF_0, VF_1 = f"{PORT}/0000:01:00.0", f"{PORT}/0000:01:00.1", f"{PORT}/0000:01:00.2"
GPU = f"{PCI}/0000:00:02.0"
VFIO_A, VFIO_B, VFIO_C = f"{PCI}/0000:00:03.0", f"{PCI}/0000:00:03.1", f"{PCI}/0000:00:04.0"
VFIO_PF, NO_IOMMU = f"{PCI}/0000:00:05.0", f"{PCI}/0000:00:06.0"
UIO = f"{PCI}/10000:e1:00.0"
MDEV = f"{GPU}/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
OTHER_MDEV = f"{GPU}/83b8f4f2-509f-382f-3c1e-e6bfe0fa1002"
USB = f"{PCI}/0000:00:14.0/usb1/1-2"
SCSI = f"{PCI}/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0"
TAPE = f"{PCI}/0000:00:17.0/ata1/host0/target0:0:1/0:0:1:0"
NVME = f"{PCI}/0000:00:1d.0/nvme/nvme0"
SUBSYSTEM = "/devices/virtual/nvme-subsystem/nvme-subsys0"
VIRTUAL = "/devices/virtual/block"
HID = f"{USB}/1-2:1.0/0003:046D:C31C.0001"
PAD = f"{HID}/input/input5"
WATCHDOG = f"{PCI}/0000:00:1f.0/iTCO_wdt"

NODES = {
    "char 81:0": f"{USB}/1-2:1.0/video4linux/video0",
    "char 81:1": f"{USB}/1-2:1.0/video4linux/video1",
    "char 189:1": USB,
    "char 240:9": f"{HID}/hidraw/hidraw0",
    "char 13:67": f"{PAD}/event3",
    "char 13:0": f"{PAD}/js0",
    "char 13:32": f"{PAD}/mouse0",
    "char 13:68": f"{HID}/input/input6/event4",
    "char 13:63": "/devices/virtual/input/mice",
    "char 10:130": f"{WATCHDOG}/misc/watchdog",
    "char 249:0": f"{WATCHDOG}/watchdog/watchdog0",
    "char 249:1": f"{PCI}/0000:00:1f.1/watchdog/watchdog1",
    "char 226:0": f"{GPU}/drm/card0",
    "char 226:128": f"{GPU}/drm/renderD128",
    "block 8:0": f"{SCSI}/block/sda",
    "block 8:1": f"{SCSI}/block/sda/sda1",
    "block 8:2": f"{SCSI}/block/sda/sda2",
    "char 21:0": f"{SCSI}/scsi_generic/sg0",
    "char 248:0": f"{SCSI}/bsg/0:0:0:0",
    "char 9:0": f"{TAPE}/scsi_tape/st0",
    "char 9:128": f"{TAPE}/scsi_tape/nst0",
    "block 253:0": f"{VIRTUAL}/dm-0",
    "block 253:1": f"{VIRTUAL}/dm-1",
    "block 253:2": f"{VIRTUAL}/dm-2",
    "block 9:0": f"{VIRTUAL}/md0",
    "block 259:9": f"{VIRTUAL}/md0/md0p1",
    "char 237:0": NVME,
    "block 259:0": f"{NVME}/nvme0n1",
    "block 259:1": f"{NVME}/nvme0n2",
    "char 238:0": f"{NVME}/ng0n1",
    "char 237:1": f"{PORT}/0000:02:00.0/nvme/nvme1",
    "block 259:2": f"{SUBSYSTEM}/nvme1n1",
    "char 240:0": f"{UIO}/uio/uio0",
    "char 240:1": "/devices/virtual/uio/uio1",
    "char 240:2": "/devices/virtual/uio/uio2",
    "char 511:7": "/devices/virtual/vfio/7",
    "char 511:8": "/devices/virtual/vfio/8",
    "char 511:9": "/devices/virtual/vfio/9",
    "char 511:10": "/devices/virtual/vfio/noiommu-10",
    "char 512:0": f"{VFIO_A}/vfio-dev/vfio0",
    "char 512:1": f"{MDEV}/vfio-dev/vfio1",
}
LINKS = {
    f"{VF_0}/physfn": NIC,
    f"{VF_1}/physfn": NIC,
    f"{VFIO_C}/physfn": VFIO_PF,
    f"{VIRTUAL}/dm-0/slaves/sda1": f"{SCSI}/block/sda/sda1",
    f"{VIRTUAL}/dm-1/slaves/sda1": f"{SCSI}/block/sda/sda1",
    f"{VIRTUAL}/dm-2/slaves/dm-1": f"{VIRTUAL}/dm-1",
    f"{VIRTUAL}/md0/slaves/sda2": f"{SCSI}/block/sda/sda2",
    "/class/watchdog/watchdog0": f"{WATCHDOG}/watchdog/watchdog0",
    f"{SUBSYSTEM}/nvme1": f"{PORT}/0000:02:00.0/nvme/nvme1",
}
GROUPS = {7: [VFIO_A, VFIO_B], 8: [VFIO_C], 9: [MDEV], 10: [NO_IOMMU]}


class Tree:
    """A host's /dev and /sys, made of folders and links as the kernel lays them out."""

    def __init__(self, folder: Path) -> None:
        self.root = HostRoot(folder)

    def device(self, devpath: str, number: str = "", name: str = "") -> None:
        """Add a device, with the link to it from its number and the name of its node."""
        self.root.path(f"/sys{devpath}").mkdir(parents=True, exist_ok=True)
        if name:
            self.root.path(f"/sys{devpath}/uevent").write_text(f"MAJOR=1\nDEVNAME={name}\n")
        if number:
            self.link(f"/dev/{number.replace(' ', '/')}", devpath)
        last = devpath.rpartition("/")[2]
        if last.endswith((".0", ".1", ".2")) and ":" in last:
            self.link(f"/bus/pci/devices/{last}", devpath)

    def link(self, place: str, target: str) -> None:
        """Link one path below /sys to another, relatively as the kernel does."""
        link = self.root.path(f"/sys{place}")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(target, os.path.dirname(place)))  # noqa: PTH120 - strings

    def group(self, number: int, devpaths: list[str]) -> None:
        """Put devices into an IOMMU group."""
        for devpath in devpaths:
            place = f"/kernel/iommu_groups/{number}"
            self.link(f"{place}/devices/{devpath.rpartition('/')[2]}", devpath)
            self.link(f"{devpath}/iommu_group", place)
            self.link(f"{devpath}/driver", "/bus/pci/drivers/vfio-pci")

    def node(self, path: str, number: str) -> None:
        """Add a device node, which only root may."""
        require(os.geteuid() == 0, "making device nodes needs root")
        kind, _, digits = number.partition(" ")
        place = self.root.path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        mode = 0o600 | (stat.S_IFCHR if kind == "char" else stat.S_IFBLK)
        os.mknod(place, mode, os.makedev(*map(int, digits.split(":"))))

    def roots(self, *nodes: str, **own: Use) -> dict[HardwareKey, Use]:
        """Return the roots of a device with these nodes and uses of paths."""
        return Hardware(self.root).roots(nodes, {f"path {path}": use for path, use in own.items()})


@pytest.fixture
def empty(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture
def tree(empty: Tree) -> Tree:
    """Return a host with a bit of everything."""
    functions = (NIC, VF_0, VF_1, VFIO_A, VFIO_B, VFIO_C, VFIO_PF, NO_IOMMU, UIO, GPU)
    for devpath in (*functions, OTHER_MDEV):
        empty.device(devpath)
    for number, devpath in NODES.items():
        empty.device(devpath, number)
    for place, target in LINKS.items():
        empty.link(place, target)
    for group, members in GROUPS.items():
        empty.group(group, members)
    return empty


def collide(one: Uses, other: Uses) -> bool:
    return any(meet(one[key], other[key]) for key in one.keys() & other.keys())


def expanded(tree: Tree, *keys: HardwareKey) -> dict[HardwareKey, Use]:
    return Hardware(tree.root).expanded(dict.fromkeys(keys, EXCLUSIVE))


COLLIDING = [
    ("one node and itself", "char 81:0", "char 81:0"),
    ("a node of an interface, and usbfs", "char 81:0", "char 189:1"),
    ("a partition and its disk", "block 8:1", "block 8:0"),
    ("a disk and its SCSI node", "block 8:0", "char 21:0"),
    ("a partition and the disk's SCSI node", "block 8:2", "char 21:0"),
    ("a disk and its bsg node", "block 8:0", "char 248:0"),
    ("both SCSI nodes of a disk", "char 21:0", "char 248:0"),
    ("a tape, rewinding or not", "char 9:0", "char 9:128"),
    ("a logical volume and its partition", "block 253:0", "block 8:1"),
    ("a logical volume and the disk", "block 253:0", "block 8:0"),
    ("a volume on a volume, and that", "block 253:2", "block 253:1"),
    ("a volume on a volume, and the disk", "block 253:2", "block 8:0"),
    ("a partition of a RAID and one of its disks", "block 259:9", "block 8:2"),
    ("an NVMe controller and its namespace", "char 237:0", "block 259:0"),
    ("a namespace and its generic node", "block 259:0", "char 238:0"),
    ("a controller and a namespace of several", "char 237:1", "block 259:2"),
    ("a function and the node of uio", "pci 10000:e1:00.0", "char 240:0"),
    ("a GPU's node and its function", "char 226:128", "pci 0000:00:02.0"),
    ("a virtual function and its physical one", "pci 0000:01:00.1", "pci 0000:01:00.0"),
    ("a virtual function and a bridge above", "pci 0000:01:00.1", "pci 0000:00:01.0"),
    ("two functions of a group", "pci 0000:00:03.0", "pci 0000:00:03.1"),
    ("a group node and a function in it", "char 511:7", "pci 0000:00:03.1"),
    ("a group node and the vfio node of a function", "char 511:7", "char 512:0"),
    ("a vfio node and another function of its group", "char 512:0", "pci 0000:00:03.1"),
    ("a group node and the group", "char 511:7", "iommu 7"),
    ("a group and a function in it", "iommu 7", "pci 0000:00:03.0"),
    ("a virtual function given by vfio, and the physical", "char 511:8", "pci 0000:00:05.0"),
    ("a function without IOMMU", "char 511:10", "pci 0000:00:06.0"),
    ("a mediated device and its parent", "char 511:9", "pci 0000:00:02.0"),
    ("a mediated device by both its nodes", "char 511:9", "char 512:1"),
    ("a mediated device by its path", "char 511:9", f"sys {MDEV}"),
    ("a device by its path, and by its number", f"sys {USB}", "char 189:1"),
    ("a function by its path, and its address", f"sys {NIC}", "pci 0000:01:00.0"),
    ("a HID device and its event node", "char 240:9", "char 13:67"),
    ("a HID device and its joystick", "char 240:9", "char 13:0"),
    ("an input device by two nodes", "char 13:67", "char 13:0"),
    ("a mouse by two nodes", "char 13:67", "char 13:32"),
    ("an input device and usbfs", "char 13:67", "char 189:1"),
    ("the first watchdog by both nodes", "char 10:130", "char 249:0"),
    ("a device that has gone, and itself", "char 99:1", "char 99:1"),
    ("an id and itself", "id x", "id x"),
]
APART = [
    ("two nodes of a camera", "char 81:0", "char 81:1"),
    ("two partitions", "block 8:1", "block 8:2"),
    ("two nodes of a GPU", "char 226:0", "char 226:128"),
    ("two virtual functions", "pci 0000:01:00.1", "pci 0000:01:00.2"),
    ("two logical volumes on one partition", "block 253:0", "block 253:1"),
    ("a logical volume and another partition", "block 253:0", "block 8:2"),
    ("two namespaces", "block 259:0", "block 259:1"),
    ("a namespace and another's generic node", "block 259:1", "char 238:0"),
    ("two input devices of one HID device", "char 13:67", "char 13:68"),
    ("a mouse and what all mice say", "char 13:32", "char 13:63"),
    ("two watchdogs", "char 10:130", "char 249:1"),
    ("two groups", "char 511:7", "char 511:8"),
    ("two mediated devices", "char 511:9", f"sys {OTHER_MDEV}"),
    ("a mediated device and a node of its parent", "char 511:9", "char 226:0"),
    ("nodes of one kind without a device above", "char 240:1", "char 240:2"),
    ("a character and a block number", "char 8:1", "block 8:1"),
]


@pytest.mark.parametrize(
    ("one", "other"), [pytest.param(*pair, id=name) for name, *pair in COLLIDING]
)
def test_a_part_and_its_whole_collide(tree: Tree, one: str, other: str) -> None:
    """No two containers may hold the same hardware, by whichever way they came to it."""
    assert collide(expanded(tree, one), expanded(tree, other))


@pytest.mark.parametrize(("one", "other"), [pytest.param(*pair, id=name) for name, *pair in APART])
def test_siblings_do_not_collide(tree: Tree, one: str, other: str) -> None:
    """Parts of one device may be in different containers."""
    assert not collide(expanded(tree, one), expanded(tree, other))


def test_all_above_is_used_in_part(tree: Tree) -> None:
    """A node takes its device, and every place above up to the top."""
    assert expanded(tree, "char 226:0") == {
        "char 226:0": EXCLUSIVE,
        f"sys {GPU}/drm/card0": EXCLUSIVE,
        f"sys {GPU}/drm": PART,
        "pci 0000:00:02.0": PART,
        f"sys {PCI}": PART,
    }


def test_above_the_physical_function_is_used_too(tree: Tree) -> None:
    """A virtual function may lie elsewhere; bridges above the physical one carry it."""
    assert expanded(tree, "char 511:8") == {
        "char 511:8": EXCLUSIVE,
        "sys /devices/virtual/vfio/8": EXCLUSIVE,
        "iommu 8": EXCLUSIVE,
        "pci 0000:00:04.0": EXCLUSIVE,
        "sys /devices/virtual": PART,
        "sys /devices/virtual/vfio": PART,
        "pci 0000:00:05.0": PART,
        f"sys {PCI}": PART,
    }


@pytest.mark.parametrize("use", [PART, "group"])
@pytest.mark.parametrize("key", ["pci 0000:00:03.1", "iommu 7", "pci 0000:00:03.0"])
def test_what_is_driven_has_the_use_of_the_root(tree: Tree, use: Use, key: HardwareKey) -> None:
    """Replicas of one vfio device share its group, too."""
    assert Hardware(tree.root).expanded({"char 511:7": use})[key] == use


def test_members_of_a_group_share_what_others_may_not_have(tree: Tree) -> None:
    """Two replicas of a node go together; another device's node above does not."""
    replica = Hardware(tree.root).expanded({"block 8:1": "replicas"})
    assert not collide(replica, replica)
    assert collide(replica, expanded(tree, "block 8:1"))
    assert collide(replica, expanded(tree, "block 8:0"))


def test_the_strongest_use_counts(tree: Tree) -> None:
    """A device with a disk and a partition of it has the disk alone."""
    assert expanded(tree, "block 8:1", "block 8:0")[f"sys {SCSI}/block/sda"] == EXCLUSIVE


def test_a_number_outlives_its_device(tree: Tree) -> None:
    """A container may still have a node open whose device was unplugged."""
    assert expanded(tree, "char 99:1") == {"char 99:1": EXCLUSIVE}


@pytest.mark.parametrize(
    "key",
    [
        *("id gpu-1", "path /dev/x", "gpu 1", "pci 0000:09:00.0", "iommu 99", "pci", "char", ""),
        *("char ../null", "pci ../../../etc", "iommu ..", "iommu ../iommu_groups/7", "char a\0b"),
        *("sys /etc", "sys /devices/../etc", "sys", "pci .."),
    ],
)
def test_what_sysfs_does_not_know_stays_alone(tree: Tree, key: HardwareKey) -> None:
    """Other kinds, missing devices and odd names are kept, and nothing is made of them."""
    assert expanded(tree, key) == {key: EXCLUSIVE}


def test_a_watchdog_outside_the_class_is_the_first(empty: Tree) -> None:
    """Both nodes have a key in common where the index of the class is not there."""
    empty.device("/devices/virtual/misc/watchdog", "char 10:130")
    empty.device(f"{WATCHDOG}/watchdog/watchdog0", "char 249:0")
    assert expanded(empty, "char 10:130")["watchdog 0"] == EXCLUSIVE
    assert expanded(empty, "char 249:0")["watchdog 0"] == EXCLUSIVE


def backed(tree: Tree, text: str) -> Tree:
    """Make a loop device with a partition, on what the text says."""
    for name, number in (("loop0", "block 7:0"), ("loop0/loop0p1", "block 259:7")):
        tree.device(f"{VIRTUAL}/{name}", number)
    folder = tree.root.path(f"/sys{VIRTUAL}/loop0/loop")
    folder.mkdir()
    (folder / "backing_file").write_text(f"{text}\n")
    return tree


@pytest.mark.parametrize("part", ["block 7:0", "block 259:7"])
def test_a_loop_device_on_a_disk_is_a_part_of_it(tree: Tree, part: str) -> None:
    """As a logical volume is, with the partitions on it."""
    tree.node("/dev/sda1", "block 8:1")
    found = expanded(backed(tree, "/dev/sda1"), part)
    assert found[f"sys {SCSI}/block/sda/sda1"] == PART
    assert collide(found, expanded(tree, "block 8:1"))
    assert collide(found, expanded(tree, "block 8:0"))
    assert not collide(found, expanded(tree, "block 8:2"))


@pytest.mark.parametrize("text", ["/srv/image", "/srv/sda1", "/dev/none", "/dev/zero", "sda1", ""])
def test_a_loop_device_on_anything_else_is_alone(tree: Tree, text: str) -> None:
    """Files may be on a file system that hangs: they are not looked at."""
    tree.node("/srv/sda1", "block 8:1")
    tree.node("/dev/zero", "char 1:5")
    bare = {"block 7:0", f"sys {VIRTUAL}/loop0", f"sys {VIRTUAL}", "sys /devices/virtual"}
    assert expanded(backed(tree, text), "block 7:0").keys() == bare


def test_a_loop_device_on_itself_ends(tree: Tree) -> None:
    """What sysfs says may have changed between two reads."""
    tree.node("/dev/loop0", "block 7:0")
    assert expanded(backed(tree, "/dev/loop0"), "block 7:0")["block 7:0"] == EXCLUSIVE


def test_loops_end(empty: Tree) -> None:
    """Links of a spoilt tree may lead in circles."""
    for one, other in (("dm-0", "dm-1"), ("dm-1", "dm-0")):
        empty.device(f"{VIRTUAL}/{one}", f"block 253:{one[-1]}")
        empty.link(f"{VIRTUAL}/{one}/slaves/{other}", f"{VIRTUAL}/{other}")
    assert expanded(empty, "block 253:0")[f"sys {VIRTUAL}/dm-1"] == PART


@pytest.mark.parametrize("target", ["/etc", "/class/mem/null", "/sys", "/dev/char/81:0"])
def test_a_link_to_no_device_is_none(empty: Tree, target: str) -> None:
    """What is outside the tree of devices is not followed."""
    empty.link("/dev/char/81:0", target)
    assert expanded(empty, "char 81:0") == {"char 81:0": EXCLUSIVE}


@pytest.mark.parametrize("number", ["char 81:0", "block 8:1"])
def test_a_node_is_its_number(empty: Tree, number: str) -> None:
    """Names do not matter to the kernel."""
    empty.node("/dev/x", number)
    assert empty.roots("/dev/x") == {number: EXCLUSIVE}


def test_a_link_is_followed_as_the_host_would(empty: Tree) -> None:
    """An absolute link of the host leads elsewhere for this process."""
    empty.node("/dev/video7", "char 81:7")
    empty.root.path("/dev/camera").symlink_to("/dev/video7")
    assert empty.roots("/dev/camera") == {"char 81:7": EXCLUSIVE}


@pytest.mark.parametrize("name", ["x", "bus/usb/001/002", "/dev/x"])
@pytest.mark.parametrize("kind", ["char", "block"])
def test_an_unseen_node_has_the_number_that_sysfs_knows(empty: Tree, kind: str, name: str) -> None:
    """An agent needs the host's /sys, and its /dev only where a backend looks into it."""
    empty.device(f"{USB}", f"{kind} 189:1", name)
    node = f"/dev/{name.removeprefix('/dev/')}"
    assert empty.roots(node) == {f"{kind} 189:1": EXCLUSIVE}


def test_what_has_no_number_is_a_path(empty: Tree) -> None:
    """A file can be handed out like a device, and is the same by every name of it."""
    empty.root.path("/srv").mkdir()
    empty.root.path("/srv/file").touch()
    empty.root.path("/srv/link").symlink_to("/srv/./file")
    empty.root.path("/also").symlink_to("srv")
    same = empty.roots("/srv/file", "/srv/link", "/also/file", "/srv/../srv/file")
    assert same == {"path /srv/file": EXCLUSIVE}


@pytest.mark.parametrize("path", ["/dev/none", "/dev/loop", "/dev/a\0b", "/" + "x" * 300])
def test_what_cannot_be_found_is_a_path(empty: Tree, path: str) -> None:
    """Missing, looping, impossible and too long paths raise nothing."""
    empty.root.dev.mkdir()
    (empty.root.dev / "loop").symlink_to("loop")
    assert empty.roots(path) == {f"path {path}": EXCLUSIVE}


def test_no_path_leads_out_of_the_root(tmp_path: Path) -> None:
    """Steps upward end at the host's root."""
    Tree(tmp_path).node("/outside", "char 81:0")
    host = Tree(tmp_path / "host")
    assert host.roots("/../outside") == {"path /outside": EXCLUSIVE}


@pytest.mark.parametrize("node", sorted(OPENED_BY_MANY))
def test_what_many_open_is_nobodys(empty: Tree, node: str) -> None:
    """Each machine may have /dev/kvm."""
    assert empty.roots(node) == {}


@pytest.mark.parametrize("node", ["/dev/here", "/srv/chroot/dev/null"])
def test_a_null_device_is_nobodys_wherever_it_is(tmp_path: Path, node: str) -> None:
    """It is the same for all, whatever its path."""
    tree = Tree(tmp_path)
    tree.node(node, "char 1:3")
    assert tree.roots(node) == {}


@pytest.mark.parametrize(
    "node",
    ["/dev/nvidia0", "/dev/nvidia-caps-imex-channels/channel0", "/dev/vfio/7", "/dev/dri/card0"],
)
def test_nodes_of_devices_are_not_for_many(node: str) -> None:
    """What is behind these is one thing."""
    assert node not in OPENED_BY_MANY


def test_a_link_to_what_many_open_is_nobodys(empty: Tree) -> None:
    """A container may know /dev/fuse by another name."""
    empty.node("/dev/fuse", "char 10:229")
    empty.root.path("/dev/other").symlink_to("fuse")
    assert empty.roots("/dev/other") == {}


@pytest.mark.parametrize("use", [EXCLUSIVE, PART, "group"])
@pytest.mark.parametrize("path", ["/dev/fuse", "/dev/x"])
def test_a_device_says_how_it_uses_a_node(empty: Tree, path: str, use: Use) -> None:
    """What is for many can be one's own, and what is alone can be shared."""
    empty.node(path, "char 10:229")
    assert empty.roots(path, **{path: use}) == {"char 10:229": use}


def test_two_names_of_a_node_have_the_stronger_use(empty: Tree) -> None:
    """A device that shares one name and uses the other alone is alone."""
    for path in ("/dev/x", "/dev/y"):
        empty.node(path, "char 81:1")
    assert empty.roots("/dev/x", "/dev/y", **{"/dev/y": PART}) == {"char 81:1": EXCLUSIVE}


def test_a_path_of_its_own_that_is_a_node_is_its_number(empty: Tree) -> None:
    """A device may use a node that it does not hand out."""
    empty.node("/dev/x", "char 81:1")
    assert empty.roots(**{"/dev/x": PART}) == {"char 81:1": PART}


def test_other_uses_stay_as_they_are(empty: Tree) -> None:
    """What a backend says of its device is kept."""
    own: Mapping[HardwareKey, Use] = {"pci 0000:01:00.0": PART, "id x": EXCLUSIVE, "iommu 7": "g"}
    assert Hardware(empty.root).roots([], own) == own


def numbers() -> Iterator[HardwareKey]:
    """Yield the device numbers of this machine."""
    for kind in ("char", "block"):
        for each in sorted(Path("/sys/dev", kind).iterdir()):
            yield f"{kind} {each.name}"


def test_every_device_of_this_machine_is_within_those_above() -> None:
    """What the kernel's true tree says, by another way of reading it."""
    hardware = Hardware(HostRoot())
    for key in numbers():
        found = hardware.expanded({key: EXCLUSIVE})
        device = Path("/sys/dev", *key.split(" ")).resolve()
        above = [place for place in device.parents if len(place.parts) > 3]
        wanted = {key, named(device), *map(named, above)}
        assert wanted <= found.keys()


def named(device: Path) -> HardwareKey:
    function = Path("/sys/bus/pci/devices", device.name).exists()
    return f"pci {device.name}" if function else f"sys {str(device).removeprefix('/sys')}"


def test_devices_of_this_machine_collide_if_one_is_within_the_other() -> None:
    """Most nodes of a machine have nothing to do with each other."""
    hardware = Hardware(HostRoot())
    every = {key: Path("/sys/dev", *key.split(" ")).resolve() for key in numbers()}
    others = {"block", "hidraw", "input", "vfio", "watchdog"}
    alone = {
        key: hardware.expanded({key: EXCLUSIVE})
        for key, place in every.items()
        if "virtual" in place.parts and not others & {*place.parts}
    }
    assert alone
    for one, other in itertools.combinations(alone, 2):
        within = every[one] in every[other].parents or every[other] in every[one].parents
        assert collide(alone[one], alone[other]) == within


@pytest.fixture
def loop(tmp_path: Path) -> Iterator[Tree]:
    """Give a true disk with two partitions, as nodes disk, 1 and 2; it is taken away again.

    The kernel may know no kind of partition table, so it is told of the partitions (blkpg(4)).
    """
    require(os.access("/dev/loop-control", os.W_OK), "a disk needs root and the loop driver")
    (tmp_path / "file").write_bytes(bytes(1 << 20))
    tree = Tree(tmp_path)
    tree.root.sys.symlink_to("/sys")
    with (tmp_path / "file").open("rb") as file, open("/dev/loop-control", "rb") as control:  # noqa: PTH123
        number = fcntl.ioctl(control, 0x4C82)  # LOOP_CTL_GET_FREE
        tree.node("/dev/disk", f"block 7:{number}")
        with open(tree.root.dev / "disk", "rb") as disk:  # noqa: PTH123
            # LOOP_CONFIGURE with LO_FLAGS_AUTOCLEAR | LO_FLAGS_PARTSCAN | LO_FLAGS_READ_ONLY
            fcntl.ioctl(disk, 0x4C0A, struct.pack("II 52x I 240x", file.fileno(), 512, 13))
            try:
                for part in (1, 2):
                    _partition(disk.fileno(), part, add=True)
                    tree.node(f"/dev/{part}", _block_number(f"loop{number}p{part}"))
                yield tree
            finally:
                for part in (1, 2):
                    _partition(disk.fileno(), part, add=False)


def _partition(disk: int, part: int, *, add: bool) -> None:
    partition = ctypes.create_string_buffer(
        struct.pack("qqi132x", part * 4096, 4096, part)
    )  # linux/blkpg.h, struct blkpg_partition
    place = ctypes.addressof(partition)
    fcntl.ioctl(disk, 0x1269, struct.pack("iiiP", 1 if add else 2, 0, len(partition), place))


def _block_number(name: str) -> HardwareKey:
    return f"block {Path('/sys/class/block', name, 'dev').read_text().strip()}"


def test_a_true_partition_collides_with_its_disk(loop: Tree) -> None:
    """The kernel's own layout of disks and partitions."""
    hardware = Hardware(loop.root)
    disk, one, two = (
        hardware.expanded(hardware.roots([f"/dev/{name}"])) for name in ("disk", "1", "2")
    )
    assert collide(disk, one)
    assert collide(disk, two)
    assert not collide(one, two)
