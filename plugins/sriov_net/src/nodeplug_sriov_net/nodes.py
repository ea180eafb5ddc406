"""Which device nodes a container needs for a device."""

from collections.abc import Iterator

import msgspec

from nodeplug.host.nodes import node_type
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.edits import DeviceNode
from nodeplug_sriov_net.facts import Function, is_uio
from nodeplug_sriov_net.pools import Member

RDMA_CM = "/dev/infiniband/rdma_cm"
VHOST_NET = "/dev/vhost-net"
TUN = "/dev/net/tun"
VFIO = "/dev/vfio/vfio"
IOMMUFD = "/dev/iommu"
# What belongs to no one device.
CONTROL = frozenset({RDMA_CM, VHOST_NET, TUN, VFIO, IOMMUFD})


class SharedNodes(msgspec.Struct, frozen=True):
    """Which nodes that belong to no one device are there."""

    rdma_cm: bool = False
    vhost_net: bool = False


def shared_nodes(root: HostRoot) -> SharedNodes:
    """Look for shared nodes: in /sys, and in /dev if the process sees the host's. Blocks."""
    return SharedNodes(
        rdma_cm=_is_there(root, "rdma_cm", RDMA_CM),
        vhost_net=_is_there(root, "vhost-net", VHOST_NET),
    )


def nodes_of(member: Member, shared: SharedNodes) -> tuple[DeviceNode, ...]:
    """Return the nodes of a device in the order that workloads know, each once."""
    return tuple({node.host_path: node for node in _nodes(member, shared)}.values())


def _nodes(member: Member, shared: SharedNodes) -> Iterator[DeviceNode]:
    device = member.device
    if device.sub is None:
        yield from _driver_nodes(device.function, member.pool.vfio)
    if member.selector.is_rdma:
        yield from (DeviceNode(path) for each in device.part.rdma for path in each.nodes)
        if device.part.rdma and shared.rdma_cm:
            yield DeviceNode(RDMA_CM)
    if member.selector.vdpa_type == "vhost" and device.part.vdpa[:1]:
        yield from (DeviceNode(each.node) for each in device.part.vdpa[:1] if each.node)
    if member.selector.need_vhost_net and shared.vhost_net:
        yield DeviceNode(VHOST_NET)
        yield DeviceNode(TUN)


def _driver_nodes(function: Function, vfio: str) -> Iterator[DeviceNode]:
    driver = function.pci.driver
    if function.by_vfio and vfio != "iommufd":
        if function.group_node or not function.cdev:
            yield DeviceNode(VFIO)
        if function.group_node:
            inside = f"/dev/vfio/{function.group}"
            yield DeviceNode(f"/dev/vfio/{function.group_node}", inside)
    if function.by_vfio and vfio != "group" and function.cdev:
        yield DeviceNode(IOMMUFD)
        yield DeviceNode(f"/dev/vfio/devices/{function.cdev}")
    if is_uio(driver) and function.uio:
        yield DeviceNode(f"/dev/{function.uio}")


def missing_node(root: HostRoot, device: Device) -> str:
    """Return a node of a device that is not there any more, or nothing.

    What a folder of /dev lacks that this process does not see says nothing.
    """
    for node in device.edits.nodes:
        place = root.path(node.host_path)
        is_shown = place.parent.name != "dev" and place.parent.is_dir()
        if is_shown and node_type(place) is None:
            return node.host_path
    return ""


def _is_there(root: HostRoot, name: str, node: str) -> bool:
    return (root.sys / "class/misc" / name).exists() or node_type(root.path(node)) is not None
