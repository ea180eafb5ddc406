"""IOMMU groups: devices that VFIO can give away only together."""

import os
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import link_name, names_in, read_text

# Linux 5.19, drivers/pci/pci-driver.c, pci_dma_configure: a driver claims its device's group for
# the kernel unless it sets driver_managed_dma, and VFIO then gets EPERM for every device of the
# group (drivers/iommu/iommu.c, iommu_group_claim_dma_owner). These set it (drivers/pci/pci-stub.c,
# drivers/pci/pcie/portdrv.c), and all VFIO drivers.
_HARMLESS: Final = ("pci-stub", "pcieport")
# Linux before 5.19, drivers/vfio/vfio.c, vfio_dev_driver_allowed: bridges never matter. PCI to PCI
# and CardBus, by the first digits of their class.
_BRIDGES: Final = ("0x0604", "0x0607")


def group_of(root: HostRoot, address: str) -> str:
    """Return the number of the IOMMU group of a PCI function, or nothing."""
    return link_name(f"{root.sys}/bus/pci/devices/{address}/iommu_group") or ""


def group_members(root: HostRoot, address: str) -> list[str]:
    """Return the names of all devices in a PCI function's IOMMU group, itself among them."""
    group = group_of(root, address)
    return names_in(_folder(root, group)) if group else []


def why_not_viable(root: HostRoot, address: str) -> str:
    """Return why VFIO refuses a PCI function's IOMMU group, or nothing. Blocks.

    It does so while a driver of the kernel uses any device of the group.
    """
    group = group_of(root, address)
    for member in group_members(root, address):
        place = f"{_folder(root, group)}/{member}"
        driver = link_name(f"{place}/driver")
        if driver and not _is_harmless(place, driver) and not _is_bridge(place):
            return f"{member} in its IOMMU group {group} is bound to {driver}"
    return ""


def _folder(root: HostRoot, group: str) -> str:
    return f"{root.sys}/kernel/iommu_groups/{group}/devices"


def _is_harmless(place: str, driver: str) -> bool:
    # Linux 6.1, drivers/vfio/vfio_main.c: a driver of VFIO, of whatever name, makes this folder.
    is_vfio = "vfio" in driver or os.path.isdir(f"{place}/vfio-dev")  # noqa: PTH112 - text
    return is_vfio or driver in _HARMLESS


def _is_bridge(place: str) -> bool:
    return (read_text(f"{place}/class") or "").startswith(_BRIDGES)
