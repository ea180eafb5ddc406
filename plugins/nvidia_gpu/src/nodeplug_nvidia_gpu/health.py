"""Which GPUs are sick, why, and until when."""

from collections.abc import Mapping
from typing import Final

import msgspec

from nodeplug_nvidia_gpu.facts import NO_INSTANCE, Event, Slice
from nodeplug_nvidia_gpu.rules import Rules
from nodeplug_nvidia_gpu.view import Conditions, View

# A relapse within this time doubles the hold-off, which never exceeds it.
_RELAPSE_SECONDS: Final = 3600.0
# So often doubled, any hold-off exceeds that time.
_DOUBLINGS: Final = 64
# What is over as soon as it is over: nothing was wrong with the GPU itself.
_PASSING: Final = frozenset({"driver", "absent", "judged"})

Key = tuple[str, int, int, str]
"""UUID of the GPU, GPU instance, compute instance, source."""


class Fault(msgspec.Struct):
    """A cause of sickness. `until` is None as long as it lasts."""

    reason: str
    began: float
    until: float | None = None


class HealthBook:
    """Remembers faults; outlives a reload. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._faults: dict[Key, Fault] = {}
        self._relapses: dict[str, tuple[float, int]] = {}

    @property
    def troubled(self) -> bool:
        """Whether there is any fault."""
        return bool(self._faults)

    def hear(self, event: Event, rules: Rules, now: float) -> bool:
        """Take an event of a known GPU to heart; return whether it matters."""
        source, reason = rules.verdict(event)
        if not source:
            return False
        key = (event.uuid, event.instance, event.compute_instance, source)
        self._note(key, reason, now)
        return True

    def see(self, view: View, rules: Rules, now: float) -> None:
        """Take over what a look has shown; faults that are gone begin to heal.

        A GPU that cannot be judged is sick until it can, and keeps no other from being judged.
        """
        for uuid, found in view.conditions.items():
            try:
                self._judge(uuid, found, view.uncorrectable.get(uuid, 0), rules, now)
            except Exception as error:  # noqa: BLE001 - a mistake of ours
                reason = f"its health cannot be judged: {error!r}"
                self._note((uuid, NO_INSTANCE, NO_INSTANCE, "judged"), reason, now)

    def reason(self, uuid: str, part: Slice | None = None) -> str:
        """Return what is wrong with a GPU or with a slice of it, or nothing."""
        found = [
            fault for key, fault in self._faults.items() if key[0] == uuid and _concerns(key, part)
        ]
        return "; ".join(fault.reason for fault in sorted(found, key=lambda fault: fault.began))

    def _judge(
        self, uuid: str, found: Conditions, uncorrectable: int, rules: Rules, now: float
    ) -> None:
        conditions = {s: text for s, text in found.items() if s not in rules.ignore}
        for source, reason in conditions.items():
            self._note((uuid, NO_INSTANCE, NO_INSTANCE, source), reason, now)
        if uncorrectable and "ecc" not in rules.ignore:
            reason = f"uncorrectable memory errors: {uncorrectable} more"
            self._note((uuid, NO_INSTANCE, NO_INSTANCE, "ecc"), reason, now)
        self._heal(uuid, conditions, rules, now)

    def _note(self, key: Key, reason: str, now: float) -> None:
        fault = self._faults.get(key)
        if fault is None:
            self._faults[key] = Fault(reason, now)
            self._count_relapse(key, now)
        else:
            fault.reason, fault.until = reason, None

    def _count_relapse(self, key: Key, now: float) -> None:
        if key[3] not in _PASSING:
            last, count = self._relapses.get(key[0], (now, 0))
            self._relapses[key[0]] = (now, count + 1 if now - last < _RELAPSE_SECONDS else 1)

    def _healed(self, key: Key, now: float) -> None:
        if key[3] not in _PASSING:
            self._relapses[key[0]] = (now, self._relapses[key[0]][1])

    def _heal(self, uuid: str, conditions: Conditions, rules: Rules, now: float) -> None:
        for key, fault in [*self._faults.items()]:
            source = key[3]
            if key[0] != uuid or source in conditions:
                continue
            if fault.until is None and (rules.heals or source in _PASSING):
                fault.until = now + (0 if source in _PASSING else self._hold_off(uuid, rules))
            # What else is wrong must be over too: a lost GPU has not got over its error.
            if fault.until is not None and fault.until <= now and not conditions:
                del self._faults[key]
                self._healed(key, now)

    def _hold_off(self, uuid: str, rules: Rules) -> float:
        _, count = self._relapses.get(uuid, (0.0, 1))
        doubled = 2.0 ** min(count - 1, _DOUBLINGS)
        return min(rules.hold_off_seconds * doubled, _RELAPSE_SECONDS)

    def forget(self, present: Mapping[str, object]) -> None:
        """Drop what was noted of GPUs that are no more."""
        for key in [key for key in self._faults if key[0] not in present]:
            del self._faults[key]


def _concerns(key: Key, part: Slice | None) -> bool:
    _, instance, compute, _ = key
    if instance == NO_INSTANCE:
        return True
    if part is None or part.instance != instance:
        # A GPU that is served as a whole is as sick as any part of it.
        return part is None
    return NO_INSTANCE in {compute, part.compute_instance} or part.compute_instance == compute
