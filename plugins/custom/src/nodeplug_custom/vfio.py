"""The nodes by which VFIO gives devices away, as the host shows them now."""

import os

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import link_name, names_in


def is_vfio(root: HostRoot, devpath: str, driver: str | None) -> bool:
    """Return whether a device's driver is one of VFIO.

    Those of vendors have any name (Linux 6.1, drivers/vfio/vfio_main.c: each device has a
    `vfio-dev`); older kernels show that by the name alone.
    """
    return "vfio" in (driver or "") or bool(names_in(root.path(f"/sys{devpath}/vfio-dev")))


def vfio_nodes(root: HostRoot, devpath: str) -> tuple[str, ...]:
    """Return the nodes of a device that is bound to VFIO: of its group, of itself, or both.

    A kernel may have either kind or both (CONFIG_VFIO_GROUP, CONFIG_VFIO_DEVICE_CDEV). Where it
    shows neither, that of the group is awaited.
    """
    own = _cdevs(root, devpath)
    group = link_name(root.path(f"/sys{devpath}/iommu_group")) or ""
    node = _group_node(root, group) if group.isdigit() else ""
    if not node and group.isdigit() and not own:
        node = f"/dev/vfio/{group}"
    return (*(("/dev/vfio/vfio", node) if node else ()), *own)


def _cdevs(root: HostRoot, devpath: str) -> tuple[str, ...]:
    folder = f"/sys{devpath}/vfio-dev"
    nodes = [
        f"/dev/vfio/devices/{name}"
        for name in names_in(root.path(folder))
        if _exists(root, f"{folder}/{name}/dev") or _exists(root, f"/dev/vfio/devices/{name}")
    ]
    return ("/dev/iommu", *nodes) if nodes and _exists(root, "/dev/iommu") else ()


def _group_node(root: HostRoot, group: str) -> str:
    """Return the node of a group as /sys or /dev has it, or empty.

    Linux, drivers/vfio/group.c: a group without an IOMMU is named "noiommu-".
    """
    for name in (f"noiommu-{group}", group):
        if _exists(root, f"/sys/class/vfio/{name}") or _exists(root, f"/dev/vfio/{name}"):
            return f"/dev/vfio/{name}"
    return ""


def _exists(root: HostRoot, path: str) -> bool:
    return os.path.lexists(root.path(path))
