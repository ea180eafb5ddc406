"""What is advertised under which public name."""

from collections.abc import Mapping
from dataclasses import dataclass

from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.inventory import Inventory


@dataclass(frozen=True, slots=True)
class OfferedDevice:
    """A device under the id that the kubelet sees."""

    id: str
    device: Device


@dataclass(frozen=True, slots=True)
class Offer:
    """One public resource of one backend.

    `prepared` says that containers wait for the backend's `prepare`; `edits` are common to all
    devices of the resource.
    """

    resource: str
    devices: tuple[OfferedDevice, ...] = ()
    prepared: bool = False
    edits: ContainerEdits = NO_EDITS


def make_offers(inventory: Inventory) -> Mapping[str, Offer]:
    """Return the offers of an inventory by public name: every native resource as it is."""
    grouped: dict[str, list[OfferedDevice]] = {name: [] for name in sorted(inventory.resources)}
    for device in inventory.devices.values():
        grouped[device.resource].append(OfferedDevice(device.id, device))
    return {
        name: Offer(name, tuple(devices), name in inventory.prepared, inventory.edits)
        for name, devices in grouped.items()
    }
