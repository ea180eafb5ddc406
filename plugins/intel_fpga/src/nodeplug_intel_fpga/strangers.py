"""Cards that none of the drivers has."""

from collections.abc import Iterator
from typing import Final

from nodeplug.host.pci import PciDevice, pci_devices
from nodeplug.host.root import HostRoot
from nodeplug_intel_fpga.layouts import LAYOUTS
from nodeplug_intel_fpga.models import is_known

# PCI, processing accelerators: the class of all these cards. Others have it too, such as Intel's
# neural processors, which a driver of their own has.
_CLASS: Final = "120000"
_VENDOR: Final = "8086"


def strangers(root: HostRoot) -> Iterator[PciDevice]:
    """Yield functions that the drivers know without them, and others of Intel without any."""
    for each in pci_devices(root):
        unclaimed = (each.vendor, each.device_class, each.driver) == (_VENDOR, _CLASS, None)
        ours = unclaimed or is_known(f"{each.vendor}:{each.device}")
        if ours and each.driver not in {layout.driver for layout in LAYOUTS}:
            yield each


def has_driver(function: PciDevice) -> str:
    """Return which driver a function has."""
    return f"has the driver {function.driver}" if function.driver else "has no driver"
