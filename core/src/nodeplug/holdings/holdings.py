"""Which devices the kubelet may hold for containers, as far as we can know.

The kubelet never says that a device is free again (R46, R47); it is learnt from what it shows.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Container as AbstractContainer
from collections.abc import Set as AbstractSet
from functools import partial

import msgspec

from nodeplug.holdings.giving import Giving
from nodeplug.holdings.hold import Hold, numbers
from nodeplug.holdings.index import UseIndex
from nodeplug.holdings.keys import (
    Key,
    Listing,
    Named,
    Record,
    held_as,
    id_uses,
    physical_id,
    with_id,
)
from nodeplug.holdings.rivals import Rival, Rivals, Sound, Unit
from nodeplug.host.ledger import LedgerEntry
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.hardware import NO_USES, HardwareKey, Uses, united

# How long another agent's answer may be under way after it was noted: our limit (R43 sets none).
ANSWER_SECONDS = 10.0
_NO_DEVICES: Mapping[str, Uses] = {}


Known = tuple[Uses, AbstractSet[str]]
Derived = tuple[Uses, Named]


class Holdings:
    """The agent's one table of what may be in use: by anybody, under any name.

    R33: the kubelet crashes when an id it has given to a container leaves the list. So such an
    id is buried, not dropped, until a listing begun after the burial shows it free.

    `generation` counts changes; `rivals_changed` is called when lists need another look because
    other devices are offered among those that exclude each other.
    """

    def __init__(self) -> None:
        self.doubt = asyncio.Event()
        self.generation = 0
        self.rivals_changed: Callable[[], None] = lambda: None
        self._observed = False
        self._holds: dict[Key, Hold] = {}
        self._buried: dict[Key, float] = {}
        self._index: UseIndex[Key] = UseIndex()
        self._indexed: dict[Key, Uses] = {}
        self._offered: dict[str, Mapping[str, Uses]] = {}
        self._renamed: set[str] = set()
        self._devices: dict[str, Sound] = {}
        self._nodes: dict[str, Callable[[str], AbstractSet[str]]] = {}
        self._by_unit: Mapping[Unit, Sequence[Key]] | None = None
        self._rivals = Rivals()
        self._lost: Mapping[Unit, Rival] = {}
        self._shed: set[Key] = set()
        self._wanted: dict[Key, float] = {}
        self._blocked: Mapping[Key, float] = {}

    # What is offered.

    def offer(
        self,
        resource: str,
        devices: Sound,
        uses: Mapping[str, Uses] = _NO_DEVICES,
        *,
        renamed: bool = False,
        nodes: Callable[[str], AbstractSet[str]] = lambda _: frozenset(),
    ) -> None:
        """Take note of a resource's devices by id, which are sound, and what hardware they are.

        `nodes` returns the host paths of a device's nodes.

        Of those that cannot be given at once one is offered: one in use before a free one, one
        under its backend's own name before one that was renamed.
        """
        before = self._offered.get(resource)
        self._offered[resource] = uses
        self._devices[resource] = devices
        self._nodes[resource] = nodes
        if before is not uses and before != uses:
            for key in [k for k in self._holds if k[0] == resource or physical_id(k[1]) in devices]:
                self._reckon(key)
        (self._renamed.add if renamed else self._renamed.discard)(resource)
        self._rivals.offer(resource, uses)
        self._settle_rivals()

    def bury(self, resource: str, ids: Iterable[str]) -> None:
        """Note that ids have left the offers of a resource."""
        now = time.monotonic()
        new = [key for i in ids if (key := (resource, i)) not in self._buried]
        for key in new:
            self._buried[key] = now
            # What is offered now by the same device may be shared otherwise.
            own = with_id(key, held_as(key, self._offered_as(key)))
            self._reindex(key, {**own, **self._indexed.get(key, NO_USES)})
        if new:
            self.doubt.set()

    def revive(self, resource: str, ids: AbstractContainer[str]) -> None:
        """Note that ids are offered again."""
        for key in [k for k in self._buried if k[0] == resource and k[1] in ids]:
            self._exhume(key)

    def is_buried(self, resource: str, device_id: str) -> bool:
        """Whether the id must still be listed although nothing offers it."""
        return (resource, device_id) in self._buried

    # What is asked.

    def handed_out(self, resource: str, device_id: str) -> bool:
        """Whether a container has the id as far as is known, or was given it and not seen since."""
        return (resource, device_id) in self._holds

    def held_in(self, resource: str) -> Mapping[str, tuple[int, ...]]:
        """Return the ids of a resource that containers may have, with NUMA nodes where known."""
        return {i: hold.numa for (name, i), hold in self._holds.items() if name == resource}

    def in_use(self) -> Mapping[str, Collection[str]] | None:
        """Return by resource the devices that containers may hold; None before any listing."""
        if not self._observed:
            return None
        found: dict[str, set[str]] = {}
        for name, device_id in (*self._holds, *self._buried):
            found.setdefault(name, set()).add(physical_id(device_id))
        return found

    @property
    def exclude_anything(self) -> bool:
        """Whether there is any hold, or any device that is offered in another's place."""
        return bool(self._holds or self._indexed or self._lost)

    def answered_paths(self, resource: str, device_id: str) -> frozenset[str] | None:
        """Return the nodes that the kubelet has on record for an id; None where it has none."""
        hold = self._holds.get((resource, device_id))
        return hold.paths if hold else None

    def holder_besides(self, resource: str, device_id: str) -> Key | None:
        """Return by which key containers may have what this one would give away again.

        None where nobody has it, or by a key that may be used beside this one.
        """
        if not self._indexed:
            return None
        return next((holder for holder, _ in self._meeting((resource, device_id))), None)

    def rival(self, resource: str, device_id: str) -> Rival | None:
        """Return the device that is offered instead of this one, which excludes it."""
        return self._lost.get((resource, physical_id(device_id))) if self._lost else None

    def want(self, holder: Key) -> None:
        """Note that a hold keeps something from being offered."""
        self._wanted.setdefault(holder, self._blocked.get(holder, time.monotonic()))
        self.doubt.set()

    # What changes it.

    def allocating(self, resource: str, ids: Collection[str]) -> Giving:
        """Note that ids are being handed out, and at the end of the block that they have been.

        Lists are late: this is where it is decided. Raises AllocationRefusedError where another
        container may have one of the devices, or a part of it, by a key that is not to be shared.
        """
        keys = {(resource, device_id) for device_id in ids}
        ordered = sorted(keys)
        for key in ordered:
            self._check(key, keys)
        new = keys - self._holds.keys()
        for key in ordered:
            hold = self._give(key, uses := self._offered_as(key))
            hold.offered = uses
            hold.flights += 1
        entries = [self._entry(key) for key in ordered]
        return Giving(entries, partial(self._given, ordered, new))

    def _given(self, keys: Collection[Key], new: AbstractSet[Key], answered: bool) -> None:  # noqa: FBT001 - what became of it
        now = time.monotonic()
        for key in keys:
            hold = self._holds[key]
            hold.flights -= 1
            if answered:
                hold.answer(now, own=True)
            elif key in new and not hold.flights:
                self._drop(key)
        if answered:
            self.doubt.set()
            self._settle_rivals()

    def ended(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        """Return what takes those entries back that are no holds after all."""
        over = (each for each in entries if each.key not in self._holds)
        return [msgspec.structs.replace(each, ended=True) for each in over]

    def settled(self, entries: Iterable[LedgerEntry]) -> list[LedgerEntry]:
        """Return what is new of our own entries: what was answered, and which pods have it.

        What an agent that is no more had under way was answered, or never will be.
        """
        found = []
        for entry in entries:
            hold = self._holds.get(entry.key)
            if hold is None or hold.flights:
                continue
            shed = entry.key in self._shed and entry.hardware != hold.uses
            if shed or entry.under_way or not hold.pods <= {*entry.pods}:
                hold.answered = hold.answered if hold.own else entry.answered
                facts = {"answered": hold.answered, "pods": tuple(sorted(hold.pods))}
                facts |= {"hardware": hold.uses} if shed else {}
                found.append(msgspec.structs.replace(entry, under_way=False, **facts))
        return found

    def untold(self, told: AbstractContainer[Key]) -> list[LedgerEntry]:
        """Return what the kubelet has on record of ours and the ledger has not.

        Others cannot know what hardware an id of ours is where the answer names no nodes.
        """
        return [
            msgspec.structs.replace(self._entry(key), answered=hold.answered, under_way=False)
            for key, hold in self._holds.items()
            if hold.given and hold.seen and key[0] in self._offered and key not in told
        ]

    def learn(self, entries: Iterable[LedgerEntry]) -> None:
        """Take in what other agents have given, or this one before it was started again."""
        for entry in entries:
            key = entry.key
            hold = self._holds.get(key)
            answered = entry.answered + (ANSWER_SECONDS if entry.under_way else 0)
            if entry.ended:
                if hold and not hold.flights and not hold.seen and hold.answered <= answered:
                    self._drop(key)
                continue
            hold = self._give(key, entry.hardware)
            hold.pods |= {*entry.pods}
            if answered > hold.answered:
                hold.answer(answered, own=False)
            elif not (entry.under_way or hold.own or hold.flights):
                hold.answered = answered
        self._settle_rivals()

    def derive(self, before: Mapping[Key, Known], after: Mapping[Key, Derived]) -> None:
        """Replace what hardware holds are by what the host says now; not what is newer."""
        for key, (given, named) in after.items():
            hold = self._holds.get(key)
            if hold and hold.given is before[key][0]:
                hold.given = given
                hold.name(named)
                self._reckon(key)
        self._settle_rivals()

    def known(self) -> Mapping[Key, Known]:
        """Return what each hold was given, and the paths of nodes that its record names."""
        return {key: (hold.given, hold.named.keys()) for key, hold in self._holds.items()}

    def presume(self, recorded: Mapping[Key, Record], named: Mapping[Key, Named]) -> None:
        """Take for in use what the kubelet has recorded, until it can be asked."""
        new = recorded.keys() - self._holds.keys()
        for key, record in recorded.items():
            self._hold(key).take(record)
        for key in recorded:
            self._see(key, named.get(key, _NO_DEVICES), new=key in new)
        self._settle_rivals()

    def observe(self, listing: Listing) -> None:
        """Take in a listing: what is in use, and what it proves to be free.

        What is recorded is in use, too: pod resources leaves out init containers (R86), and all
        pods that a kubelet which has just started does not know yet (R47).
        """
        self._observed = True
        now = time.monotonic()
        self.presume(listing.recorded or {}, listing.named)
        for key, numa in listing.held.items():
            hold = self._see(key, listing.named.get(key, _NO_DEVICES))
            hold.numa = numa or hold.numa
        for key, hold in list(self._holds.items()):
            hold.pods -= listing.ended & hold.former_pods
            if hold.is_free(key, listing, now):
                self._drop(key)
            elif hold.sheds(key, listing, now):
                self._shed.add(key)
                self._reckon(key)
        for key, since in list(self._buried.items()):
            if since < listing.started and key not in self._holds:
                self._exhume(key)
        self._blocked, self._wanted = self._wanted, {}
        self._settle_rivals()
        self.doubt.clear()
        if self._buried or any(hold.unsettled for hold in self._holds.values()):
            self.doubt.set()

    def forget(self, resource: str, device_id: str, asked: float) -> str:
        """End a hold on somebody's word; return why not. What the kubelet shows comes back.

        `asked` is the monotonic time of that: what was given later is not meant.
        """
        key = resource, device_id
        hold = self._holds.get(key)
        if hold is not None:
            if hold.flights or hold.answered > asked:
                return "a container was given it since"
            self._drop(key)
        # R33: the id stays listed until the kubelet does not show it, and is in nobody's way.
        self._reindex(key, NO_USES)
        self._settle_rivals()
        return ""

    def awaiting_write(self) -> AbstractSet[Key]:
        """Return the holds for which the kubelet should write down what it knows.

        It frees devices in its memory; what it has recorded may be older.
        """
        return {k for k in self.waiting() & self._holds.keys() if self._holds[k].awaits_write}

    def waiting(self) -> AbstractSet[Key]:
        """Return what the next listing could settle: what is in the way, gone or never seen."""
        unseen = (key for key, hold in self._holds.items() if hold.unsettled)
        return {*self._wanted, *self._buried, *unseen}

    def suspects(self) -> AbstractSet[str]:
        """Return the uids of pods that had what the kubelet does not show for them any more."""
        return {uid for hold in self._holds.values() for uid in hold.former_pods}

    def blocking(self) -> Mapping[Key, float]:
        """Return the holds that keep something from being offered, and since when (monotonic).

        Not those of containers that the kubelet shows: they end with their pods.
        """
        return {k: t for k, t in self._wanted.items() if not self._is_shown(k)}

    def is_offered(self, device_id: str) -> bool:
        """Whether a device is offered now, under whatever name."""
        device = physical_id(device_id)
        return any(device in devices for devices in self._devices.values())

    def _is_shown(self, key: Key) -> bool:
        hold = self._holds.get(key)
        return hold is not None and hold.seen and not hold.awaits_write

    def _check(self, key: Key, together: AbstractSet[Key]) -> None:
        for holder, hardware in self._meeting(key):
            if holder not in together:
                self.want(holder)
                raise AllocationRefusedError(
                    f"device {key[1]} of {key[0]} is in use as {holder[1]} of {holder[0]}"
                    f"{'' if hardware.startswith('id ') else f': both are {hardware}'}",
                    devices=[physical_id(key[1])],
                )

    def _meeting(self, key: Key) -> Iterator[tuple[Key, HardwareKey]]:
        """Yield whoever may have what a key would give away again."""
        for holder, hardware in self._index.meeting(with_id(key, self._offered_as(key))):
            # R46: the kubelet gives an id again within a pod.
            if holder != key and key not in self._together(holder):
                yield holder, hardware

    def _together(self, holder: Key) -> AbstractSet[Key]:
        hold = self._holds.get(holder)
        return hold.together if hold else frozenset()

    def _offered_as(self, key: Key) -> Uses:
        return self._offered.get(key[0], _NO_DEVICES).get(physical_id(key[1]), NO_USES)

    def _offered_anywhere(self, device: str) -> tuple[Uses, AbstractSet[str] | None]:
        """Return what a device is offered as, and its nodes: ids are the node's (R23).

        There are none, instead of an empty set, where it is not offered.
        """
        for resource, devices in self._devices.items():
            if device in devices:
                uses = self._offered[resource].get(device, NO_USES)
                return uses, self._nodes[resource](device)
        return NO_USES, None

    def _give(self, key: Key, uses: Uses) -> Hold:
        hold = self._hold(key)
        if hold.given is not uses:
            hold.given = united((hold.given, uses)) if hold.given else uses
        if hold.given is self._offered_as(key) and not hold.named:
            hold.uses = with_id(key, uses)
            self._reindex(key, hold.uses)
        else:
            self._reckon(key)
        return hold

    def _see(self, key: Key, named: Named, *, new: bool = False) -> Hold:
        new = new or key not in self._holds
        hold = self._hold(key)
        if (named and hold.name(named)) or new:
            self._reckon(key)
        return hold

    def _hold(self, key: Key) -> Hold:
        if key not in self._holds:
            self._holds[key] = Hold()
            self._by_unit = None
        return self._holds[key]

    def _reckon(self, key: Key) -> None:
        """Work out what hardware a hold is.

        What was given counts; where nobody knows, what the device is now, unless the record of
        the answer names other nodes. Where it names all nodes of the device, the others in it only
        accompany it. An id says something if its resource is ours, if nothing else is known, or
        if the nodes agree.
        """
        hold, device = self._holds[key], physical_id(key[1])
        now, nodes = self._offered_anywhere(device)
        agree = nodes is not None and nodes <= hold.named.keys()
        ours = key[0] in self._offered or hold.given or not hold.named or (agree and nodes)
        if ours and now and not hold.given and (agree or not hold.named):
            hold.given = held_as(key, now)
        paths = nodes if nodes is not None and ours and agree else self._own_paths(key)
        named = united(hold.named[path] for path in paths)
        own = united((id_uses(key, now), hold.given)) if ours else NO_USES
        # How a device uses what it was given is known; what has come to its paths since is not.
        hold.uses = {**named, **own}
        self._reindex(key, hold.uses)

    def _own_paths(self, key: Key) -> AbstractSet[str]:
        """Return the paths on record, but those that devices given with it hold by themselves."""
        hold = self._holds[key]
        paths = set(hold.named)
        for resource, device_id in hold.together - {key}:
            if resource == key[0] and (resource, device_id) in self._holds:
                _, nodes = self._offered_anywhere(physical_id(device_id))
                if nodes and nodes <= hold.named.keys():
                    paths -= nodes
        return paths

    def _drop(self, key: Key) -> None:
        del self._holds[key]
        self._shed.discard(key)
        self._by_unit = None
        self._reindex(key, self._indexed[key] if key in self._buried else NO_USES)

    def _exhume(self, key: Key) -> None:
        del self._buried[key]
        hold = self._holds.get(key)
        self._reindex(key, hold.uses if hold else NO_USES)

    def _reindex(self, key: Key, uses: Uses) -> None:
        before = self._indexed.pop(key, NO_USES)
        if uses:
            self._indexed[key] = uses
        if uses is not before and uses != before:
            self._index.put(key, before, uses)
            self.generation += 1

    def _entry(self, key: Key) -> LedgerEntry:
        return LedgerEntry(
            resource=key[0],
            device=key[1],
            answered=time.monotonic(),
            hardware=self._holds[key].uses or {},
            pods=tuple(sorted(self._holds[key].pods)),
            under_way=True,
        )

    def _settle_rivals(self) -> None:
        lost = self._rivals.losers(self._rank)
        if lost != self._lost:
            self._lost = lost
            self.generation += 1
            self.rivals_changed()

    def _held_of(self, unit: Unit) -> Sequence[Key]:
        if self._by_unit is None:
            found: dict[Unit, list[Key]] = {}
            for key in self._holds:
                found.setdefault((key[0], physical_id(key[1])), []).append(key)
            self._by_unit = found
        return self._by_unit.get(unit, ())

    def _rank(self, unit: Unit) -> int:
        resource, device = unit
        offered = self._offered_as(unit)
        if held := self._held_of(unit):
            # What has become of a device in use is nobody's yet.
            nodes = self._nodes[resource](device)
            return 0 if all(self._holds[k].is_of(numbers(offered), nodes) for k in held) else 3
        blocked = any(True for _ in self._index.meeting(offered))
        if blocked or not self._devices[resource].get(device, True):
            return 3
        return 2 if resource in self._renamed else 1
