"""The devices of one resource, as the kubelet is told: the only mutable device state."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec
from msgspec.structs import replace

from nodeplug.holdings import Holdings
from nodeplug.offers import LIST_LIMIT, Offer, OfferedDevice
from nodeplug.values.device import Device, Health
from nodeplug.values.errors import ListTooLargeError, UnhealthyDeviceError, UnknownDeviceError

# R22: a message above 4 MiB ends the stream for good.
KUBELET_LIMIT = 4 * 1024 * 1024
# A driver that goes takes all its devices along; the first lines tell enough.
_LOGGED_DEVICES = 10

# So many vanished ids are kept where the kubelet tells nothing of their use; beyond it the oldest
# that this agent has never handed out are forgotten.
_TOMBS_LIMIT = 1000

_log = logging.getLogger("nodeplug.pool")


class ListedDevice(msgspec.Struct, frozen=True):
    """A device as one entry of the list sent to the kubelet.

    `held` says that it is Unhealthy because of what containers have, and well for all we know.
    """

    id: str
    health: Health
    numa_nodes: tuple[int, ...] = ()
    reason: str = ""
    held: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    """The whole list at one version, in order of id, and its encoded form.

    `since` is when the news that it tells arrived, by the monotonic clock.
    """

    version: int
    devices: tuple[ListedDevice, ...]
    payload: bytes
    since: float = 0


class _Entry(msgspec.Struct, frozen=True):
    """What is listed for an id and why: the device, None for a tombstone; its encoded form."""

    device: Device | None
    listed: ListedDevice
    encoded: bytes


class _Suspicion(msgspec.Struct, frozen=True):
    """Why an id is Unhealthy until when; `device` as it was, None where no news leaves it so."""

    reason: str
    until: float
    device: Device | None

    def outlives(self, news: Device) -> bool:
        return self.device == news


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
        self._refused = self._stuck = ""
        self._holdings = holdings
        self._encode = encode
        self._entries: dict[str, _Entry] = {}
        self._order: list[str] = []
        self._offered: dict[str, OfferedDevice] = {}
        self._tombs: dict[str, tuple[int, ...]] = {}
        self._down = ""
        self._news = 0.0
        self._suspects: dict[str, _Suspicion] = {}
        self._changed = asyncio.Event()

    @property
    def trouble(self) -> str:
        """Why the list that is sent is not the one that it should be, or empty."""
        return self._refused or self._stuck

    def replace(self, offer: Offer, news: float = 0) -> None:
        """Take over a new truth. Ids that are gone stay listed while they may be in use.

        `news` is when it arrived, by the monotonic clock; 0 is now.
        Raises ListTooLargeError, and keeps the previous truth, when the list would not reach the
        kubelet.
        """
        before = self.offer, self._offered, self._tombs, self._down, self._suspects
        offered = {entry.id: entry for entry in offer.devices}
        left = self._offered.keys() - offered.keys()
        gone = {i: self._offered[i].device.numa_nodes for i in sorted(left)}
        former = {i: numa for i, numa in (self._tombs | gone).items() if i not in offered}
        tombs = self._without_oldest(former)
        self._suspects = {
            i: suspicion
            for i, suspicion in self._suspects.items()
            if i in offered and suspicion.outlives(offered[i].device)
        }
        self.offer, self._offered, self._tombs, self._down = offer, offered, tombs, ""
        self._news = news
        self._tell_holdings()
        try:
            self._refresh(LIST_LIMIT)
        except ListTooLargeError as error:
            self.offer, self._offered, self._tombs, self._down, self._suspects = before
            self._tell_holdings()
            self._refused = str(error)
            raise
        finally:
            self._news = 0
        self._refused = ""
        self._holdings.bury(self.resource, gone.keys() & tombs.keys())
        self._holdings.revive(self.resource, {*offered, *(former.keys() - tombs.keys())})

    def condemn(self, reason: str) -> None:
        """Turn every device Unhealthy until the next `replace`."""
        self._down = reason
        self._tell_holdings()
        self.refresh()

    def suspect(
        self, ids: AbstractSet[str], reason: str, seconds: float, *, certain: bool = False
    ) -> None:
        """Turn devices Unhealthy for some time; `refresh` after it lifts the suspicion.

        So does the next truth: of any device that it shows changed, or of all where it was
        `certain` that these are at fault.
        """
        until = time.monotonic() + seconds
        for device_id in ids & self._offered.keys():
            device = None if certain else self._offered[device_id].device
            self._suspects[device_id] = _Suspicion(reason, until, device)
        self._tell_holdings()
        self.refresh()

    def recheck(self) -> None:
        """Drop tombstones that holdings know to be free, add ids that they show in use."""
        held = self._holdings.held_in(self.resource)
        found = {i: numa for i, numa in held.items() if i not in self._offered}
        self._holdings.bury(self.resource, found.keys() - self._tombs.keys())
        kept = {i: n for i, n in self._tombs.items() if self._holdings.is_buried(self.resource, i)}
        self._tombs = found | kept
        self.refresh()

    def repeat(self) -> None:
        """Send the list once more as it is."""
        self.snapshot = replace(self.snapshot, version=self.snapshot.version + 1)
        self._wake()

    def refresh(self) -> None:
        """Work out the list anew from what is offered, buried, suspected and held elsewhere."""
        self._stuck = ""
        try:
            self._refresh(KUBELET_LIMIT)
        except ListTooLargeError as error:
            self._stuck = str(error)

    def _refresh(self, limit: int) -> None:
        now = time.monotonic()
        before = len(self._suspects)
        self._suspects = {i: s for i, s in self._suspects.items() if s.until > now}
        if len(self._suspects) < before:
            self._tell_holdings()
        if self._may_hold_back():
            entries = {i: self._entry(i, offered) for i, offered in self._offered.items()}
        else:
            known = self._entries.get
            entries = {
                i: was
                if (was := known(i))
                and was.device is (device := offered.device)
                and was.listed.reason == device.reason
                else self._new_entry(i, offered.device, offered.device.reason, held=False)
                for i, offered in self._offered.items()
            }
        for device_id, numa_nodes in self._tombs.items():
            entries[device_id] = self._tombstone(device_id, numa_nodes)
        news = [entry for i, entry in entries.items() if entry is not self._entries.get(i)]
        if not self.snapshot.version or self._differ(entries, news):
            self._publish(entries, limit)
            self._log_changes(len(entries), news)
        self._entries = entries

    def resolve(self, ids: Collection[str]) -> list[OfferedDevice]:
        """Return the offered devices of these ids, in order of id, each once.

        Raises UnknownDeviceError or UnhealthyDeviceError: the kubelet's view may be older.
        """
        for device_id in sorted(set(ids)):
            entry = self._entries.get(device_id)
            if entry is not None and entry.listed.health is not Health.HEALTHY:
                raise UnhealthyDeviceError(
                    f"device {device_id} of {self.resource} is unhealthy: {entry.listed.reason}"
                )
        return self.present(ids)

    def present(self, ids: Collection[str]) -> list[OfferedDevice]:
        """Return the offered devices of these ids, sick ones too, in order of id, each once.

        Raises UnknownDeviceError for one that is not there.
        """
        wanted = sorted(set(ids))
        for device_id in wanted:
            if device_id not in self._offered:
                raise UnknownDeviceError(f"{self.resource} has no device {device_id!r}")
        return [self._offered[device_id] for device_id in wanted]

    async def newer_than(self, version: int) -> Snapshot:
        """Return the newest snapshot as soon as there is one above this version."""
        while self.snapshot.version <= version:
            await self._changed.wait()
        return self.snapshot

    def _without_oldest(self, tombs: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        spare = len(tombs) - _TOMBS_LIMIT
        if spare <= 0:
            return tombs
        free = (i for i in tombs if not self._holdings.handed_out(self.resource, i))
        forgotten = set(itertools.islice(free, spare))
        return {i: numa for i, numa in tombs.items() if i not in forgotten}

    def _tell_holdings(self) -> None:
        offer = self.offer
        renamed = bool(offer.native) and offer.native != offer.resource
        self._holdings.offer(
            self.resource,
            _Sound(self),
            offer.uses,
            renamed=renamed,
            nodes=self._node_paths,
        )

    def _offered_device(self, device_id: str) -> OfferedDevice | None:
        return self._offered.get(device_id) or self._offered.get(f"{device_id}::0")

    def is_sound(self, device_id: str) -> bool | None:
        """Whether a device could be given, whoever has it; None for one that is not offered."""
        if (offered := self._offered_device(device_id)) is None:
            return None
        return offered.device.healthy and not self._down and offered.id not in self._suspects

    def _node_paths(self, device_id: str) -> AbstractSet[str]:
        """Return the host paths of a device's nodes."""
        offered = self._offered_device(device_id)
        return {node.host_path for node in offered.device.edits.nodes} if offered else frozenset()

    def _may_hold_back(self) -> bool:
        """Whether anything but a device itself may keep it from being given."""
        return bool(self._down or self._suspects) or self._holdings.exclude_anything

    def _reason(self, offered: OfferedDevice) -> tuple[str, bool]:
        """Return why a device is not given, and whether only what containers have is why."""
        reason = self._down or offered.device.reason
        if not reason and offered.id in self._suspects:
            reason = self._suspects[offered.id].reason
        if reason:
            return reason, False
        reason = self._held_elsewhere(offered) or self._exchanged(offered)
        return reason, bool(reason)

    def _held_elsewhere(self, offered: OfferedDevice) -> str:
        if holder := self._holdings.holder_besides(self.resource, offered.id):
            self._holdings.want(holder)
            return f"in use as {holder[1]} of {holder[0]}"
        if rival := self._holdings.rival(self.resource, offered.id):
            (resource, device), hardware = rival
            if self._holdings.handed_out(self.resource, offered.id):
                # A container had what the id was before: that may be all that keeps it back.
                self._holdings.want((self.resource, offered.id))
            return f"shares {hardware} with {device} of {resource}"
        return ""

    def _exchanged(self, offered: OfferedDevice) -> str:
        # R45: the kubelet replays its answer to a container that starts again, after a reboot too.
        answered = self._holdings.answered_paths(self.resource, offered.id)
        if answered is None or self.offer.inject != "devices":
            return ""
        now = [node.host_path for node in offered.device.edits.nodes]
        other = next((path for path in now if path not in answered), "")
        if not other:
            return ""
        self._holdings.want((self.resource, offered.id))
        return f"is {other} now, its container was given another node"

    def _entry(self, device_id: str, offered: OfferedDevice) -> _Entry:
        device, known = offered.device, self._entries.get(device_id)
        reason, held = self._reason(offered)
        if known is not None and known.device is device and known.listed.reason == reason:
            return known
        return self._new_entry(device_id, device, reason, held=held)

    def _new_entry(self, device_id: str, device: Device, reason: str, *, held: bool) -> _Entry:
        health = Health.UNHEALTHY if reason else Health.HEALTHY
        listed = ListedDevice(device_id, health, device.numa_nodes, reason, held)
        return _Entry(device, listed, self._encode(listed))

    def _tombstone(self, device_id: str, numa_nodes: tuple[int, ...]) -> _Entry:
        held = self._holdings.is_offered(device_id)
        listed = ListedDevice(device_id, Health.UNHEALTHY, numa_nodes, "gone", held)
        return _Entry(None, listed, self._encode(listed))

    def _differ(self, entries: Mapping[str, _Entry], news: Sequence[_Entry]) -> bool:
        if entries.keys() != self._entries.keys():
            return True
        return any(new.listed != self._entries[new.listed.id].listed for new in news)

    def _log_changes(self, devices: int, news: Sequence[_Entry]) -> None:
        changed = [new.listed for new in news if self._health(new.listed.id) != new.listed.health]
        sick = [listed for listed in changed if listed.health is Health.UNHEALTHY]
        facts = {"resource": self.resource, "devices": devices, "changed": len(changed)}
        _log.info("device list changed", extra={"nodeplug": facts})
        for listed in sick[:_LOGGED_DEVICES]:
            facts = {"resource": self.resource, "device": listed.id, "reason": listed.reason}
            level, event = logging.WARNING, "device unhealthy"
            if listed.held:
                level, event = logging.INFO, "device held"
            _log.log(level, event, extra={"nodeplug": facts})

    def _health(self, device_id: str) -> Health | None:
        known = self._entries.get(device_id)
        return known.listed.health if known else None

    def _publish(self, entries: dict[str, _Entry], limit: int) -> None:
        if entries.keys() != self._entries.keys() or not self._order:
            self._order = sorted(entries)
        ordered = [entries[device_id] for device_id in self._order]
        payload = b"".join([entry.encoded for entry in ordered])
        if len(payload) > limit:
            raise ListTooLargeError(
                f"{self.resource}: the list of its devices takes {len(payload)} bytes or more, "
                f"the limit is {limit}; spread them over several resources"
            )
        devices = tuple(entry.listed for entry in ordered)
        since = self._news or time.monotonic()
        self.snapshot = Snapshot(self.snapshot.version + 1, devices, payload, since)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class _Sound:
    """The devices of a pool, and which could be given: looked up, for there may be very many."""

    def __init__(self, pool: ResourcePool) -> None:
        self._pool = pool

    def __contains__(self, device_id: object) -> bool:
        return isinstance(device_id, str) and self._pool.is_sound(device_id) is not None

    def get(self, device_id: str, default: bool, /) -> bool:  # noqa: FBT001 - a mapping's
        sound = self._pool.is_sound(device_id)
        return default if sound is None else sound
