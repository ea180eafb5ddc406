"""Detects devices that are given away twice at once: by their ids, and by the hardware itself."""

import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace

from nodeplug.testing.kubelet.devices import Allocation
from nodeplug.testing.kubelet.sight import Seen

# Which device is behind an id of a resource.
Physical = Callable[[str, str], Hashable]
_REPLICA = re.compile(r"::\d+$")


@dataclass(frozen=True, slots=True)
class Got:
    """What a live container got of one resource, as it was at the moment of the `answer`.

    `gone` says that the kubelet no longer knows the pod.
    """

    pod: str
    resource: str
    ids: frozenset[str]
    seen: Seen
    answer: bytes = b""
    gone: bool = False

    def forgotten(self) -> "Got":
        """Return the same of a pod that the kubelet was told to forget."""
        return replace(self, gone=True)


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


def find_collisions(new: Got, others: Iterable[Got]) -> Iterator[str]:
    """Yield a text for each container of another pod that uses the same hardware."""
    for other in others:
        met = new.seen.meets(other.seen)
        if met and other.pod != new.pod and not _may_meet(new, other):
            yield f"{min(met)} is given away twice: as {_described(other)} and {_described(new)}"


def _may_meet(one: Got, other: Got) -> bool:
    """Whether both hold replicas of a device, or the kubelet was told to give an id again."""
    if one.resource != other.resource:
        return False
    if (one.gone or other.gone) and one.ids & other.ids:
        return True
    return not _replicated(one).isdisjoint(_replicated(other))


def _replicated(got: Got) -> set[str]:
    return {_REPLICA.sub("", each) for each in got.ids if _REPLICA.search(each)}


def _described(got: Got) -> str:
    return f"{','.join(sorted(got.ids))} of {got.resource} in pod {got.pod}"
