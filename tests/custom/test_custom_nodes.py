"""A device's nodes are those that the host shows now, and all of them count."""

from contextlib import aclosing
from pathlib import Path

import pytest

from nodeplug.host.iommu import why_not_viable
from nodeplug.values.device import Device
from nodeplug.values.errors import AllocationRefusedError
from nodeplug_custom.backend import CustomBackend
from nodeplug_custom.memory import Memory
from support.custom_host import RESOURCE, discover, several
from support.hardware_tree import HardwareTree

CARD = {"name": RESOURCE, "hardware": [{"pci": {"vendor": "10de"}}]}


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    return HardwareTree(tmp_path)


async def card(tree: HardwareTree) -> Device:
    [device] = (await discover(tree, several(CARD))).devices.values()
    return device


def nodes(device: Device) -> list[str]:
    return [node.host_path for node in device.edits.nodes]


def group(tree: HardwareTree, name: str, devpath: str) -> None:
    """Put a function into group 7, whose node the kernel has made under this name."""
    tree.group(devpath, 7)
    (tree.folder / f"sys/class/vfio/{name}").mkdir(parents=True)
    for each in ("vfio", name):
        tree.char(f"/dev/vfio/{each}")


async def test_a_group_without_an_iommu_has_its_true_name(tree: HardwareTree) -> None:
    """The kernel names its node otherwise."""
    group(tree, "noiommu-7", tree.pci("0000:00:03.0", "10de:1eb8", driver="vfio-pci"))
    device = await card(tree)
    assert (device.reason, nodes(device)) == ("", ["/dev/vfio/vfio", "/dev/vfio/noiommu-7"])


async def test_a_mediated_device_s_group_has_its_true_name(tree: HardwareTree) -> None:
    """Its group is named as one without an IOMMU, and its node is not."""
    parent = tree.pci("0000:00:06.0")
    tree.mdev("c3f1", parent, "i915", 20)
    tree.write("/kernel/iommu_groups/20", {"name": "vfio-noiommu"})
    wanted = several({"name": RESOURCE, "hardware": [{"mdev": {"type": "i915"}}]})
    [device] = (await discover(tree, wanted)).devices.values()
    assert nodes(device) == ["/dev/vfio/vfio", "/dev/vfio/20"]


async def test_where_devices_have_no_nodes_their_group_s_are_enough(tree: HardwareTree) -> None:
    """A kernel may have iommufd without nodes of single devices."""
    devpath = tree.pci("0000:00:03.0", "10de:1eb8", driver="vfio-pci")
    group(tree, "7", devpath)
    tree.write(f"{devpath}/vfio-dev/vfio0", {"uevent": ""})
    tree.char("/dev/iommu")
    device = await card(tree)
    assert (device.reason, nodes(device)) == ("", ["/dev/vfio/vfio", "/dev/vfio/7"])


async def test_where_groups_have_no_nodes_the_device_s_is_enough(tree: HardwareTree) -> None:
    """A kernel may be without those of groups."""
    devpath = tree.pci("0000:00:03.0", "10de:1eb8", driver="vfio-pci")
    tree.group(devpath, 7)
    tree.write(f"{devpath}/vfio-dev/vfio0", {"dev": "511:0"})
    tree.char("/dev/iommu")
    tree.char("/dev/vfio/devices/vfio0")
    device = await card(tree)
    assert (device.reason, nodes(device)) == ("", ["/dev/iommu", "/dev/vfio/devices/vfio0"])


async def test_a_vendor_s_driver_of_vfio_is_known_by_what_it_makes(tree: HardwareTree) -> None:
    """Functions for vGPUs are bound to the driver of the GPU."""
    devpath = tree.pci("0000:00:03.0", "10de:1eb8", driver="nvidia")
    group(tree, "7", devpath)
    tree.write(f"{devpath}/vfio-dev/vfio0", {"uevent": ""})
    device = await card(tree)
    assert (device.reason, nodes(device)) == ("", ["/dev/vfio/vfio", "/dev/vfio/7"])
    assert why_not_viable(tree.host.root, "0000:00:03.0") == ""


@pytest.mark.parametrize("kind", ["pci", "usb", "mdev"])
async def test_selectors_pick_by_what_a_file_in_sysfs_says(tree: HardwareTree, kind: str) -> None:
    """Such as the type of vGPU that a function has been given."""
    for number, text in ((3, "1155"), (4, "0")):
        devpath = {
            "pci": lambda n=number: tree.vfio(f"0000:00:0{n}.0", n),
            "usb": lambda n=number: tree.usb(f"1-{n}", serial=f"S{n}", number=n),
            "mdev": lambda n=number: tree.mdev(f"m{n}", tree.pci(f"0000:00:1{n}.0"), "i915", n),
        }[kind]()
        tree.write(devpath, {"nvidia/current_vgpu_type": text})
    attributes = {"attributes": {"nvidia/current_vgpu_type": "1155"}}
    more = {} if kind == "mdev" else {"vendor": "*"}
    wanted = several({"name": RESOURCE, "hardware": [{kind: {**more, **attributes}}]})
    [device_id] = (await discover(tree, wanted)).devices
    assert device_id in {"pci-0000:00:03.0", "usb-046d-0825-S3", "mdev-m3"}


@pytest.mark.parametrize("gone", ["/dev/vfio/vfio", "/dev/vfio/13"])
async def test_an_allocation_looks_at_all_nodes(tree: HardwareTree, gone: str) -> None:
    """A container cannot start without any of them."""
    tree.vfio("0000:00:04.0", 13, ids="10de:1eb8")
    backend = CustomBackend(several(CARD), tree.host, Memory())
    async with aclosing(backend.inventories()) as inventories:
        [device] = (await anext(inventories)).devices.values()
        tree.remove(gone)
        with pytest.raises(AllocationRefusedError, match=f"{gone} of device .* is not present"):
            await backend.allocate(RESOURCE, [device])
