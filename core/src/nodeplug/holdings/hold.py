"""One hold: what one id of one resource may keep from others."""

from collections.abc import Set as AbstractSet
from types import MappingProxyType

import msgspec

from nodeplug.holdings.keys import Key, Listing, Named, Record
from nodeplug.values.hardware import NO_USES, HardwareKey, Uses, united


def numbers(uses: Uses) -> AbstractSet[HardwareKey]:
    """Return the device numbers among the keys of hardware."""
    return {hardware for hardware in uses if hardware.startswith(("char ", "block "))}


# The kubelet writes its checkpoint after our answer; a write that began before it lacks the id.
WRITE_SECONDS = 2.0
_NEVER = object()
_NOTHING: Named = MappingProxyType({})


class Hold(msgspec.Struct):
    """What containers that were given an id may use, until it is proved that none does.

    `given` is what hardware we know the id to be, `named` what is or was behind the nodes that the
    kubelet's record of the answer names, `uses` what it is held as: what both amount to. With ids
    `together` one answer was given.
    `answered` is the monotonic time of the last answer, `flights` counts answers under way, `own`
    says that they were ours, `seen` that the kubelet has shown the id since. `absent` is the
    checkpoint's identity at the first listing that did not show it. `offered` is what an answer
    of ours gives now, `past` what only answers before the last one gave, to `former` pods.
    """

    given: Uses = msgspec.field(default_factory=lambda: NO_USES)
    named: Named = msgspec.field(default_factory=lambda: _NOTHING)
    uses: Uses = msgspec.field(default_factory=lambda: NO_USES)
    numa: tuple[int, ...] = ()
    paths: frozenset[str] | None = None
    pods: frozenset[str] = frozenset()
    recorded_pods: frozenset[str] = frozenset()
    together: frozenset[Key] = frozenset()
    answered: float = 0.0
    flights: int = 0
    own: bool = False
    seen: bool = False
    absent: object = _NEVER
    offered: Uses = msgspec.field(default_factory=lambda: NO_USES)
    past: AbstractSet[HardwareKey] = frozenset()
    former: frozenset[str] = frozenset()

    @property
    def awaits_write(self) -> bool:
        """Whether nothing but what the kubelet has written down holds it."""
        return self.absent is not _NEVER

    @property
    def former_pods(self) -> frozenset[str]:
        """The pods that had it and may not have it any more."""
        return self.pods if self.awaits_write else self.pods - self.recorded_pods

    def take(self, record: Record) -> None:
        """Note what the checkpoint says."""
        self.numa = record.numa or self.numa
        self.paths = record.paths if record.paths is not None else self.paths
        self.recorded_pods = record.pods
        self.pods |= record.pods
        self.together |= record.together

    @property
    def unsettled(self) -> bool:
        """Whether nobody knows yet what became of an answer of ours."""
        return self.own and not self.seen

    def is_of(self, hardware: AbstractSet[HardwareKey], nodes: AbstractSet[str]) -> bool:
        """Whether containers have a device of these numbers and nodes, as far as is known."""
        on_record = self.paths is None or nodes <= self.paths
        return on_record and hardware <= self.uses.keys()

    def answer(self, now: float, *, own: bool) -> None:
        """Note that a container was given the id at this moment."""
        self.answered, self.own, self.seen, self.absent = now, own, False, _NEVER
        renewed = own and self.given is not self.offered
        self.past = self.given.keys() - self.offered.keys() if renewed else frozenset()
        self.former = self.pods
        self.paths = None
        self.named = _NOTHING

    def name(self, named: Named) -> bool:
        """Note what is behind the nodes on record; return whether that is new.

        A container that started before has what was there then, one that starts again gets what is
        there now.
        """
        now = {path: united((self._numbers_at(path), uses)) for path, uses in named.items()}
        if now == self.named:
            return False
        self.named = now
        return True

    def _numbers_at(self, path: str) -> Uses:
        # The place of a device that was unplugged may be another's; its number is held.
        before = self.named.get(path, NO_USES)
        return {key: before[key] for key in numbers(before)}

    def is_free(self, key: Key, listing: Listing, now: float) -> bool:
        """Whether it is proved that no container has the id any more.

        Two witnesses are needed: pod resources shows it nowhere, and a checkpoint that was
        written after that does not have it (R47, R86). Whoever had it before must have ended.
        """
        if self.flights or listing.started <= self.answered:
            return False
        if key in listing.stale:
            return not self.former_pods and now - self.answered >= WRITE_SECONDS
        recorded = listing.recorded is not None and key in listing.recorded
        self.seen = self.seen or recorded or key in listing.held
        if key in listing.held:
            self.absent = _NEVER
            return False
        if self.absent is _NEVER:
            self.absent = listing.written
            return False
        silent = listing.recorded is None or listing.written == self.absent
        if recorded or silent or now - self.answered < WRITE_SECONDS:
            return False
        return not self.pods

    def sheds(self, key: Key, listing: Listing, now: float) -> bool:
        """Let go of what was given before the last answer, once nobody has that; return whether.

        That pods have the id which had not then is on record, and who had it then has ended.
        """
        if not self.past or self.flights or key not in (listing.recorded or ()):
            return False
        if not self.pods or self.former_pods or self.former & self.pods:
            return False
        if now - self.answered < WRITE_SECONDS or listing.started <= self.answered:
            return False
        self.given = {each: use for each, use in self.given.items() if each not in self.past}
        self.past = frozenset()
        return True
