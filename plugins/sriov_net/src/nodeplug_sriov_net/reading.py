"""Reading one PCI function from sysfs: every attribute once."""

import os
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from nodeplug.host.iommu import why_not_viable
from nodeplug.host.nodes import see
from nodeplug.host.pci import PciDevice
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import link_name, names_in, read_int, read_text
from nodeplug_sriov_net.facts import Function, Link, Part, Rdma, SubFunction, Vdpa, is_vfio

# linux/if_arp.h, by the names that netlink libraries use.
KINDS: Final = {1: "ether", 32: "infiniband", 772: "loopback"}
# Kernel, drivers/infiniband: what the device classes are called below their device.
RDMA_NODES: Final = (
    ("infiniband_cm", "ucm"),
    ("infiniband_mad", "issm"),
    ("infiniband_mad", "umad"),
    ("infiniband_verbs", "uverbs"),
)
# Auxiliary devices that a network driver makes where the hardware is capable of RDMA. They stay
# where they are while the RDMA device is in a container's network namespace.
_CAPABLE: Final = re.compile(r"\w+\.(?:rdma|roce|iwarp)\.\d+")
# PCIe SR-IOV: the number of virtual functions has 16 bits.
_VIRTUAL: Final = re.compile(r"virtfn([0-9]{1,5})")
_SUB: Final = re.compile(r"\w+\.sf\.\d+")

# What drivers make of a function: it comes when they are done, or nearly so. `net` is there, empty,
# also while the network device is in another network namespace.
_MADE: Final = re.compile(r"net|infiniband|vfio-dev|uio|virtio\d+")

# How much is read of links: index and kind; address and carrier too; speed, switch and port too.
Depth = Literal["least", "plain", "full"]
VdpaByPlace = Mapping[str, tuple[Vdpa, ...]]


def read_function(
    root: HostRoot, pci: PciDevice, vdpa: VdpaByPlace, *, hears_links: bool = False
) -> Function:
    """Return what sysfs says of a function. Blocks; what cannot be read is left empty.

    Of links, only index and kind are read where `hears_links`: the rest is told by netlink, and
    to read it takes locks (docs/hardware-reads.md).
    """
    system = str(root.sys)  # joining paths would take most of the time
    place = f"{system}{pci.devpath}"
    names = names_in(place)
    virtual = dict(_virtual(place, names))
    group = link_name(f"{place}/iommu_group") if "iommu_group" in names else None
    physfn = link_name(f"{place}/physfn") if "physfn" in names else None
    # Linux 6.1, drivers/vfio/vfio_main.c: a driver of VFIO, of whatever name, makes this folder.
    by_vfio = is_vfio(pci.driver) or (bool(pci.driver) and "vfio-dev" in names)
    grouped = bool(group) and by_vfio
    noiommu = grouped and _is_noiommu(f"{system}/kernel/iommu_groups/{group}")
    cdev = _cdev(root, f"{place}/vfio-dev") if "vfio-dev" in names else ""
    depth: Depth = "least" if hears_links else "full" if physfn is None else "plain"
    return Function(
        pci=pci,
        part=_part(place, names, vdpa.get(pci.devpath, ()), depth),
        physfn=physfn or "",
        virtual=virtual,
        has_virtual=bool(virtual),
        subs=tuple(_subs(place, pci.devpath, names, vdpa, "least" if hears_links else "plain")),
        group=group or "",
        noiommu=noiommu,
        by_vfio=by_vfio,
        hindrance=why_not_viable(root, pci.address) if grouped else "",
        group_node=_group_node(system, group, noiommu=noiommu) if group and by_vfio else "",
        cdev=cdev,
        uio=_first(f"{place}/uio") if "uio" in names else "",
        acpi_index=read_text(f"{place}/acpi_index") or "" if "acpi_index" in names else "",
        is_shown=any(map(_MADE.fullmatch, names)),
    )


def devpath_at(root: HostRoot, link: str) -> str:
    """Return the devpath that a link of sysfs names, without looking at it; or nothing."""
    try:
        target = os.readlink(root.path(link))  # noqa: PTH115 - far quicker
    except (OSError, ValueError):
        return ""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(link), target))
    return place.removeprefix("/sys") if place.startswith("/sys/devices/") else ""


def read_link(place: str, depth: Depth) -> Link | None:
    """Return a network device by its folder."""
    index = read_int(f"{place}/ifindex")
    if index is None:
        return None
    kind = read_int(f"{place}/type")
    link = Link(
        index=index,
        name=_name(place),
        kind="" if kind is None else KINDS.get(kind, str(kind)),
    )
    return link if depth == "least" else _with_details(link, place, full=depth == "full")


def _with_details(link: Link, place: str, *, full: bool) -> Link:
    carrier = read_int(f"{place}/carrier")  # EINVAL while the device is down
    return msgspec.structs.replace(
        link,
        address=read_text(f"{place}/address") or "",
        carrier=None if carrier is None else carrier == 1,
        speed=max(0, read_int(f"{place}/speed") or 0) if full else 0,
        switch=read_text(f"{place}/phys_switch_id") or "" if full else "",
        port=read_text(f"{place}/phys_port_name") or "" if full else "",
    )


def _part(place: str, names: Collection[str], vdpa: tuple[Vdpa, ...], depth: Depth) -> Part:
    # virtio-pci makes a device of its own, which has the network device.
    virtio = [f"{place}/{name}" for name in names if name.startswith("virtio")]
    places = [
        *_inside(place, "net", names),
        *(p for v in virtio for p in _inside(v, "net", ["net"])),
    ]
    found = (read_link(each, depth) for each in places)
    rdma = tuple(_rdma(place, names))
    return Part(
        links=tuple(sorted((link for link in found if link), key=lambda link: link.index)),
        rdma=rdma,
        capable=bool(rdma) or any(map(_CAPABLE.fullmatch, names)),
        vdpa=vdpa,
    )


def _inside(place: str, folder: str, names: Collection[str]) -> list[str]:
    if folder not in names:
        return []
    return [f"{place}/{folder}/{each}" for each in names_in(f"{place}/{folder}")]


def _name(place: str) -> str:
    return place.rpartition("/")[2]


def _rdma(place: str, names: Collection[str]) -> Iterator[Rdma]:
    devices = _inside(place, "infiniband", names)
    owners = [
        (read_text(f"{node}/ibdev"), f"/dev/infiniband/{_name(node)}")
        for folder, prefix in (RDMA_NODES if devices else ())
        for node in _inside(place, folder, names)
        if _name(node).startswith(prefix)
    ]
    for device in devices:
        nodes = tuple(path for owner, path in owners if owner == _name(device))
        yield Rdma(_name(device), nodes, read_text(f"{device}/ports/1/pkeys/0") or "")


def _virtual(place: str, names: Collection[str]) -> Iterator[tuple[int, str]]:
    for name in names:
        if found := _VIRTUAL.fullmatch(name):
            yield int(found[1]), link_name(f"{place}/{name}") or ""


def _subs(
    place: str, devpath: str, names: Collection[str], vdpa: VdpaByPlace, depth: Depth
) -> Iterator[SubFunction]:
    for name in filter(_SUB.fullmatch, names):
        folder = f"{place}/{name}"
        part = _part(folder, names_in(folder), vdpa.get(f"{devpath}/{name}", ()), depth)
        number = read_int(f"{folder}/sfnum")
        yield SubFunction(name, number, link_name(f"{folder}/driver") or "", part)


def _first(place: str) -> str:
    return next(iter(names_in(place)), "")


def _cdev(root: HostRoot, place: str) -> str:
    """Return the function's own node, which kernels without CONFIG_VFIO_DEVICE_CDEV do not have."""
    name = _first(place)
    node = root.path(f"/dev/vfio/devices/{name}")
    return name if name and (see(Path(place, name, "dev")).kind or see(node).kind) else ""


def _group_node(system: str, group: str, *, noiommu: bool) -> str:
    """Return the group's node by its true name (kernel, drivers/vfio/group.c).

    Kernels without CONFIG_VFIO_GROUP have none: their class is `vfio-dev` alone.
    """
    supposed, other = (f"noiommu-{group}", group) if noiommu else (group, f"noiommu-{group}")
    if os.path.exists(f"{system}/class/vfio/{supposed}"):  # noqa: PTH110 - far quicker
        return supposed
    if os.path.exists(f"{system}/class/vfio"):  # noqa: PTH110 - likewise
        return other if other in names_in(f"{system}/class/vfio") else supposed
    return "" if os.path.exists(f"{system}/class/vfio-dev") else supposed  # noqa: PTH110 - likewise


def _is_noiommu(group: str) -> bool:
    return read_text(f"{group}/name") == "vfio-noiommu"
