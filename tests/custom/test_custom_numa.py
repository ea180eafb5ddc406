"""Devices that are picked by path are where their hardware is."""

import os
import stat
from contextlib import aclosing
from pathlib import Path

import pytest

from nodeplug.values.device import Device
from support.custom_host import backend, discover, several
from support.hardware_tree import HardwareTree
from support.needs import require

SETTINGS = several({"name": "example.com/video", "devices": [{"path": "/dev/video*"}]})


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> HardwareTree:
    require(os.geteuid() == 0, "making device nodes needs root")
    return HardwareTree(tmp_path)


async def found(tree: HardwareTree) -> Device:
    return (await discover(tree, SETTINGS)).devices["dev:video0"]


def grab(tree: HardwareTree, **files: str) -> None:
    """Add a frame grabber whose node has the numbers that sysfs tells."""
    tree.node(tree.pci("0000:03:00.0", **files), "video4linux", "video0")
    node = tree.path("/dev/video0")
    node.unlink()
    os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(81, 1))


async def test_a_node_has_the_numa_node_of_its_hardware(tree: HardwareTree) -> None:
    """That of the nearest device above it that has one."""
    grab(tree)
    assert (await found(tree)).numa_nodes == (1,)


async def test_a_node_has_none_where_the_kernel_knows_none(tree: HardwareTree) -> None:
    """R35: -1 would fit nowhere."""
    grab(tree, numa_node="-1")
    assert (await found(tree)).numa_nodes == ()


async def test_a_node_that_sysfs_does_not_have_has_none(tree: HardwareTree) -> None:
    """It may still be used."""
    os.mknod(tree.path("/dev/video0"), stat.S_IFCHR | 0o600, os.makedev(81, 9))
    device = await found(tree)
    assert (device.numa_nodes, device.reason) == ((), "")


async def test_a_device_that_has_gone_keeps_its_place(tree: HardwareTree) -> None:
    """R33: a kubelet that has given it away still looks there."""
    grab(tree)
    async with aclosing(backend(tree, SETTINGS).inventories()) as inventories:
        await anext(inventories)
        tree.path("/dev/video0").unlink()
        gone = (await anext(inventories)).devices["dev:video0"]
    assert (gone.reason, gone.numa_nodes) == ("not present", (1,))
