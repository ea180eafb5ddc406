"""The devices of one resource, as the kubelet is told: the only mutable device state."""

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from nodeplug.holdings import Holdings
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.values.device import Health
from nodeplug.values.errors import ListTooLargeError, UnhealthyDeviceError, UnknownDeviceError

# R22: a message above 4 MiB ends the stream for good; the rest is room for framing.
LIST_LIMIT = 3_670_016


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A device as one entry of the list sent to the kubelet."""

    id: str
    health: Health
    numa_nodes: tuple[int, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole list at one version, in order of id, and its encoded form."""

    version: int
    devices: tuple[ListedDevice, ...]
    payload: bytes


class ResourcePool:
    """One resource's list, versioned, read by any number of streams.

    `encode` turns one entry into bytes such that the encoded list is the entries' concatenation.
    Every change is made by a method of this class, on the event loop.
    """

    def __init__(
        self, resource: str, holdings: Holdings, encode: Callable[[ListedDevice], bytes]
    ) -> None:
        self.resource = resource
        self.offer = Offer(resource)
        self.snapshot = Snapshot(0, (), b"")
        self._holdings = holdings
        self._encode = encode
        self._encoded: dict[ListedDevice, bytes] = {}
        self._offered: dict[str, OfferedDevice] = {}
        self._tombs: dict[str, tuple[int, ...]] = {}
        self._down = ""
        self._suspects: dict[str, tuple[str, float]] = {}
        self._changed = asyncio.Event()

    def replace(self, offer: Offer) -> None:
        """Take over a new truth. Ids that are gone stay listed while they may be in use.

        Raises ListTooLargeError, and keeps the previous truth, when the list would not reach the
        kubelet.
        """
        before = self.offer, self._offered, self._tombs, self._down
        offered = {entry.id: entry for entry in offer.devices}
        gone = {i: old.device.numa_nodes for i, old in self._offered.items() if i not in offered}
        tombs = {i: numa for i, numa in (self._tombs | gone).items() if i not in offered}
        self.offer, self._offered, self._tombs, self._down = offer, offered, tombs, ""
        try:
            self.refresh()
        except ListTooLargeError:
            self.offer, self._offered, self._tombs, self._down = before
            raise
        self._holdings.bury(self.resource, gone)
        self._holdings.revive(self.resource, offered)

    def condemn(self, reason: str) -> None:
        """Turn every device Unhealthy until the next `replace`."""
        self._down = reason
        self.refresh()

    def suspect(self, ids: Collection[str], reason: str, seconds: float) -> None:
        """Turn devices Unhealthy for some time; `refresh` after it lifts the suspicion."""
        until = time.monotonic() + seconds
        self._suspects.update(dict.fromkeys(ids, (reason, until)))
        self.refresh()

    def recheck(self) -> None:
        """Drop tombstones that holdings know to be free, add ids that they show in use."""
        held = self._holdings.held_in(self.resource)
        found = {i: numa for i, numa in held.items() if i not in self._offered}
        self._holdings.bury(self.resource, found.keys() - self._tombs.keys())
        kept = {i: n for i, n in self._tombs.items() if self._holdings.is_buried(self.resource, i)}
        self._tombs = found | kept
        self.refresh()

    def refresh(self) -> None:
        """Work out the list anew from what is offered, buried, suspected and held elsewhere."""
        now = time.monotonic()
        self._suspects = {i: s for i, s in self._suspects.items() if s[1] > now}
        listed = {i: self._judge(entry) for i, entry in self._offered.items()}
        for device_id, numa_nodes in self._tombs.items():
            listed[device_id] = ListedDevice(device_id, Health.UNHEALTHY, numa_nodes, "gone")
        devices = tuple(listed[device_id] for device_id in sorted(listed))
        if devices != self.snapshot.devices or not self.snapshot.version:
            self._publish(devices)

    def resolve(self, ids: Collection[str]) -> list[OfferedDevice]:
        """Return the offered devices of these ids, in order of id, each once.

        Raises UnknownDeviceError or UnhealthyDeviceError: the kubelet's view may be older.
        """
        listed = {device.id: device for device in self.snapshot.devices if device.id in ids}
        for device_id in sorted(set(ids)):
            if device_id not in listed:
                raise UnknownDeviceError(f"{self.resource} has no device {device_id!r}")
            if listed[device_id].health is not Health.HEALTHY:
                raise UnhealthyDeviceError(
                    f"device {device_id} of {self.resource} is unhealthy: "
                    f"{listed[device_id].reason}"
                )
        return [self._offered[device_id] for device_id in sorted(listed)]

    async def newer_than(self, version: int) -> Snapshot:
        """Return the newest snapshot as soon as there is one above this version."""
        while self.snapshot.version <= version:
            await self._changed.wait()
        return self.snapshot

    def _judge(self, offered: OfferedDevice) -> ListedDevice:
        device = offered.device
        reason = self._down or device.reason
        if not reason and offered.id in self._suspects:
            reason = self._suspects[offered.id][0]
        if not reason and (holder := self._holdings.holder(device.id, self.resource)):
            reason = f"still held as {holder}"
        health = Health.UNHEALTHY if reason else Health.HEALTHY
        return ListedDevice(offered.id, health, device.numa_nodes, reason)

    def _publish(self, devices: tuple[ListedDevice, ...]) -> None:
        encoded = {d: self._encoded.get(d) or self._encode(d) for d in devices}
        payload = b"".join(encoded.values())
        if len(payload) > LIST_LIMIT:
            raise ListTooLargeError(
                f"{self.resource}: the list of {len(devices)} devices takes {len(payload)} bytes, "
                f"the limit is {LIST_LIMIT}; spread them over several resources"
            )
        self._encoded = encoded
        self.snapshot = Snapshot(self.snapshot.version + 1, devices, payload)
        self._changed.set()
        self._changed = asyncio.Event()
