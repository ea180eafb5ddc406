"""The variables by which virtual machines find passed-through hardware, as KubeVirt names them."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nodeplug.values.device import Device

if TYPE_CHECKING:
    from nodeplug_custom.hardware_devices import Sight

_PREFIX = {"usb": "USB_RESOURCE_", "pci": "PCI_RESOURCE_", "mdev": "MDEV_PCI_RESOURCE_"}


def resource_envs(
    resource: str, devices: Sequence[Device], sights: Mapping[str, "Sight"]
) -> dict[str, str]:
    """Return a variable for each kind among the devices: addresses in order of id.

    `resource` is the public name. KubeVirt replaces its "/" and "." only; what has other
    characters, which shells cannot name, is given under a plain name, too.
    """
    found: dict[str, list[str]] = {}
    for device in devices:
        sight = sights.get(device.id)
        for finding in sight.unit.findings if sight else ():
            parent = finding.parent
            if parent.kind in _PREFIX:
                address = parent.address or f"{parent.bus}:{parent.device}"
                found.setdefault(_PREFIX[parent.kind], []).append(address)
    if not found:
        return {}
    names = {re.sub(unfit, "_", resource.upper()) for unfit in (r"[/.]", r"[^A-Z0-9]")}
    return {
        env + name: ",".join(dict.fromkeys(each)) for env, each in found.items() for name in names
    }
