"""What of the hardware a function or a sub-function is."""

from collections.abc import Iterable, Iterator

from nodeplug.values.edits import DeviceNode
from nodeplug.values.hardware import EXCLUSIVE, PART, SHARED, HardwareKey, Use, Uses
from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.facts import Function
from nodeplug_sriov_net.nodes import CONTROL


def hardware_of(device: Candidate, nodes: Iterable[DeviceNode]) -> Uses:
    """Return what a device is: many have no node at all, and some nodes are nobody's."""
    control = {f"path {n.host_path}": SHARED for n in nodes if n.host_path in CONTROL}
    return {**control, **dict(_own(device))}


def _own(device: Candidate) -> Iterator[tuple[HardwareKey, Use]]:
    function = device.function
    if device.sub is not None:
        yield f"pci {function.address}", PART
        yield f"sf {device.sub.name}", EXCLUSIVE
    else:
        yield from _function(function)


def _function(function: Function) -> Iterator[tuple[HardwareKey, Use]]:
    yield f"pci {function.address}", EXCLUSIVE
    if function.physfn:
        yield f"pci {function.physfn}", PART
    # Linux, drivers/iommu/iommu.c: a group has one owner, also by the nodes of single devices.
    if function.by_vfio and function.group:
        yield f"iommu {function.group}", EXCLUSIVE
