"""The PCI devices of the host."""

import msgspec

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_at, link_name, names_in, numa_nodes, read_text


class PciDevice(msgspec.Struct, frozen=True):
    """One PCI function, as sysfs shows it.

    `address` is domain:bus:device.function. The ids are lower-case hexadecimal digits, four of
    them, and six in `device_class`. `driver` is None where none is bound.
    """

    address: str
    devpath: str
    vendor: str
    device: str
    subsystem_vendor: str
    subsystem_device: str
    device_class: str
    driver: str | None
    numa: tuple[int, ...]


def pci_addresses(root: HostRoot) -> list[str]:
    """Return where there are PCI devices, in order."""
    return names_in(root.sys / "bus/pci/devices")


def pci_devices(root: HostRoot) -> list[PciDevice]:
    """Return all PCI devices by address; one that goes while it is read is left out."""
    found = (pci_device(root, address) for address in pci_addresses(root))
    return [device for device in found if device is not None]


def pci_device(root: HostRoot, address: str) -> PciDevice | None:
    """Return the PCI device at an address, or None where there is none."""
    devpath = device_at(root, f"/sys/bus/pci/devices/{address}")
    if devpath is None:
        return None
    folder = root.path(f"/sys{devpath}")
    place = str(folder)  # joining paths would take most of the time
    vendor = _digits(f"{place}/vendor")
    if not vendor:
        return None
    return PciDevice(
        address=address,
        devpath=devpath,
        vendor=vendor,
        device=_digits(f"{place}/device"),
        subsystem_vendor=_digits(f"{place}/subsystem_vendor"),
        subsystem_device=_digits(f"{place}/subsystem_device"),
        device_class=_digits(f"{place}/class"),
        driver=link_name(f"{place}/driver"),
        numa=numa_nodes(folder),
    )


def _digits(path: str) -> str:
    return (read_text(path) or "").lower().removeprefix("0x")
