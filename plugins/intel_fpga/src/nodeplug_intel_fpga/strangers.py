"""Cards that none of the drivers has."""

from collections.abc import Iterator
from typing import Final

from nodeplug.host.pci import PciDevice, pci_devices
from nodeplug.host.root import HostRoot
from nodeplug_intel_fpga.layouts import LAYOUTS
from nodeplug_intel_fpga.models import is_known

# PCI, processing accelerators: the class of all these cards; others have it too.
_CLASS: Final = "120000"
_VENDOR: Final = "8086"


def strangers(root: HostRoot) -> Iterator[PciDevice]:
    """Yield functions that the drivers know, and other accelerators of Intel, without them."""
    for each in pci_devices(root):
        ours = (each.vendor == _VENDOR and each.device_class == _CLASS) or is_known(
            f"{each.vendor}:{each.device}"
        )
        if ours and each.driver not in {layout.driver for layout in LAYOUTS}:
            yield each


def has_driver(function: PciDevice) -> str:
    """Return which driver a function has."""
    return f"has the driver {function.driver}" if function.driver else "has no driver"
