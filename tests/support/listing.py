"""Shorthand for pools in tests."""

from collections.abc import Iterable, Mapping

from nodeplug.holdings import Key, Listing, Record
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.pool import ResourcePool
from nodeplug.values.device import Device, Health

RESOURCE = "example.com/thing"


def device(device_id: str, resource: str = RESOURCE, *, sick: str = "", numa: int = 0) -> Device:
    health = Health.UNHEALTHY if sick else Health.HEALTHY
    return Device(id=device_id, resource=resource, health=health, reason=sick, numa_nodes=(numa,))


def offer(*devices: Device, resource: str = RESOURCE) -> Offer:
    return Offer(resource, tuple(OfferedDevice(d.id, d) for d in devices))


def healths(pool: ResourcePool) -> dict[str, str]:
    return {entry.id: entry.reason or "ok" for entry in pool.snapshot.devices}


def listing(
    held: Iterable[Key] = (), recorded: Iterable[Key] | None = (), *, started: float
) -> Listing:
    """Return what the kubelet said; its checkpoint was just written."""
    marks: Mapping[Key, tuple[int, ...]] = dict.fromkeys(held, (0,))
    records = None if recorded is None else dict.fromkeys(recorded, Record((0,)))
    return Listing(started, marks, records, written=started)
