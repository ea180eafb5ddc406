"""Detects devices that are given away twice at once."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator

from nodeplug.testing.kubelet.devices import Allocation

# Which device is behind an id of a resource.
Physical = Callable[[str, str], Hashable]
_REPLICA = re.compile(r"::\d+$")


def without_replica(_resource: str, device_id: str) -> str:
    """Return the id without the number of a replica, "<id>::<n>"; ids are the node's (R23)."""
    return _REPLICA.sub("", device_id)


def find_double_use(allocations: Iterable[Allocation], physical: Physical) -> Iterator[str]:
    """Yield a text for each device in use under two resources, and for each id in two pods.

    Several pods may well hold one device by different ids: that is sharing.
    """
    resources: dict[Hashable, set[str]] = {}
    pods: dict[tuple[str, str], set[str]] = {}
    for allocation in allocations:
        for device_id in allocation.ids:
            device = physical(allocation.resource, device_id)
            resources.setdefault(device, set()).add(allocation.resource)
            pods.setdefault((allocation.resource, device_id), set()).add(allocation.pod)
    for device, names in resources.items():
        if len(names) > 1:
            yield f"device {device} is allocated as each of {sorted(names)}"
    for (resource, device_id), names in pods.items():
        if len(names) > 1:
            yield f"device {device_id} of {resource} is allocated to each of {sorted(names)}"
