"""Which device ids the kubelet may hold for containers, as far as we can know.

The kubelet never says that a device is free again (R46, R47); it is learnt from pod resources.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass

from nodeplug.values.errors import AllocationRefusedError

Key = tuple[str, str]
"""A resource's public name and a device id in it."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What pod resources and the kubelet's checkpoint said.

    `held` maps keys that running containers hold to their NUMA nodes. `recorded` does so with all
    keys in the checkpoint, init containers included; None where it cannot be read. `started` is
    the monotonic time before the first of both was asked.
    """

    started: float
    held: Mapping[Key, tuple[int, ...]]
    recorded: Mapping[Key, tuple[int, ...]] | None


_REPLICA = "::"


def physical_id(device_id: str) -> str:
    """Return the id of the device behind a public id, which may be a replica "<device>::<n>"."""
    return device_id.partition(_REPLICA)[0]


def _may_share(one: Key, other: Key) -> bool:
    """Whether containers may have one device by these keys at the same time.

    By the same one, since the kubelet gives an id again within a pod (R46), and by replicas of
    one resource.
    """
    return one == other or (one[0] == other[0] and _REPLICA in one[1] and _REPLICA in other[1])


class Holdings:
    """The node's one record of ids that left the offers but may be in use.

    R33: the kubelet crashes when an id it has given to a container leaves the list. So such an
    id is buried, not dropped, until a listing begun after the burial shows it free.
    """

    def __init__(self) -> None:
        self.doubt = asyncio.Event()
        self.generation = 0
        self._observed = False
        self._buried: dict[Key, float] = {}
        self._in_flight: Counter[Key] = Counter()
        self._unlisted: dict[Key, float] = {}
        self._wanted: set[str] = set()
        self._held: Mapping[Key, tuple[int, ...]] = {}
        self._holders: dict[str, list[Key]] = {}

    def bury(self, resource: str, ids: Iterable[str]) -> None:
        """Note that ids have left the offers of a resource."""
        now = time.monotonic()
        new = {(resource, device_id): now for device_id in ids} | self._buried
        if len(new) > len(self._buried):
            self._buried = new
            self.doubt.set()
            self._reindex()

    def revive(self, resource: str, ids: Container[str]) -> None:
        """Note that ids are offered again."""
        kept = {k: t for k, t in self._buried.items() if k[0] != resource or k[1] not in ids}
        if len(kept) < len(self._buried):
            self._buried = kept
            self._reindex()

    def is_buried(self, resource: str, device_id: str) -> bool:
        """Whether the id must still be listed although nothing offers it."""
        return (resource, device_id) in self._buried

    def handed_out(self, resource: str, device_id: str) -> bool:
        """Whether a container has the id as far as is known, or was given it and not seen since."""
        return self._maybe_held((resource, device_id))

    def held_in(self, resource: str) -> Mapping[str, tuple[int, ...]]:
        """Return the ids that were last told in use in a resource, with NUMA nodes."""
        return {i: numa for (name, i), numa in self._held.items() if name == resource}

    def in_use(self) -> Mapping[str, Collection[str]] | None:
        """Return by resource the devices that containers may hold; None before any listing."""
        if not self._observed:
            return None
        found: dict[str, set[str]] = {}
        for name, device_id in (*self._held, *self._buried, *self._unlisted, *self._in_flight):
            found.setdefault(name, set()).add(physical_id(device_id))
        return found

    def may_be_in_use(self, device_id: str) -> bool:
        """Whether containers may have a device, by whatever key."""
        return device_id in self._holders

    def holder_besides(self, resource: str, device_id: str) -> Key | None:
        """Return by which key containers may have the device that this one would give away again.

        None where nobody has it, or by a key that may be used beside this one.
        """
        return self._other(self._holders.get(physical_id(device_id), ()), (resource, device_id))

    def _other(self, holders: Iterable[Key], key: Key) -> Key | None:
        return next((holder for holder in holders if not _may_share(holder, key)), None)

    def _check(self, key: Key) -> None:
        device = physical_id(key[1])
        given = (k for k in (*self._in_flight, *self._unlisted) if physical_id(k[1]) == device)
        if holder := self._other((*self._holders.get(device, ()), *given), key):
            self.want(device)
            raise AllocationRefusedError(
                f"device {key[1]} of {key[0]} is in use as {holder[1]} of {holder[0]}",
                devices=[device],
            )

    @contextmanager
    def allocating(self, resource: str, ids: Collection[str]) -> Iterator[None]:
        """Note that ids are being handed out, and on success that they have been.

        Lists are late: this is where it is decided. Raises AllocationRefusedError where another
        container may have one of the devices by a key that is not to be shared.
        """
        keys = [(resource, device_id) for device_id in ids]
        for key in keys:
            self._check(key)
        self._in_flight.update(keys)
        try:
            yield
            self._unlisted.update(dict.fromkeys(keys, time.monotonic()))
            self.doubt.set()
        finally:
            self._in_flight.subtract(keys)
            self._in_flight += Counter()

    def want(self, device_id: str) -> None:
        """Note that a device is offered while another resource holds it."""
        self._wanted.add(device_id)
        self.doubt.set()

    def presume(self, recorded: Mapping[Key, tuple[int, ...]]) -> None:
        """Take for in use what the kubelet has recorded, until it can be asked."""
        self._held = recorded
        self._reindex()

    def observe(self, listing: Listing) -> None:
        """Take in a listing: free what it proves free.

        What is recorded is in use, too: pod resources leaves out init containers (R86), and all
        pods that a kubelet which has just started does not know yet (R47).
        """
        self._observed = True
        self._held = {**(listing.recorded or {}), **listing.held}
        self._unlisted = {
            key: ended
            for key, ended in self._unlisted.items()
            if ended >= listing.started or (listing.recorded is None and key not in self._held)
        }
        for key, since in list(self._buried.items()):
            if since < listing.started and not self._maybe_held(key):
                del self._buried[key]
        self._reindex()
        self._wanted.clear()
        self.doubt.clear()
        if self._buried or self._unlisted:
            self.doubt.set()

    def only_recorded(self, listing: Listing) -> AbstractSet[Key]:
        """Return the keys whose devices nothing but this listing's record holds back.

        A kubelet frees devices in its memory; what it has recorded may be older.
        """
        kept = (listing.recorded or {}).keys() - listing.held.keys() - self._unlisted.keys()
        return {k for k in kept if k in self._buried or physical_id(k[1]) in self._wanted}

    def _reindex(self) -> None:
        self.generation += 1
        self._holders = {}
        for key in sorted({*self._buried, *self._held}):
            self._holders.setdefault(physical_id(key[1]), []).append(key)

    def _maybe_held(self, key: Key) -> bool:
        return key in self._held or key in self._in_flight or key in self._unlisted
