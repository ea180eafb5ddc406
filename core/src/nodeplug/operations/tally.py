"""Counting devices by standing and reason, once for each list."""

from collections import Counter
from typing import NamedTuple

from nodeplug.operations.standing import STANDINGS, standing
from nodeplug.pool import ListedDevice, Snapshot

# A reason may tell a figure of the moment; its series may not be without number.
_REASONS_LIMIT = 10
_REASON_LENGTH = 64


class Count(NamedTuple):
    """How many devices there are of each standing, and how many are sick for each reason."""

    standings: dict[str, int]
    reasons: dict[str, int]


class Tally:
    """Remembers the count of the last list of each resource: ten thousand take milliseconds."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Snapshot, Count]] = {}

    def count(self, resource: str, snapshot: Snapshot) -> Count:
        """Return the count of a list; rare reasons are one."""
        known = self._known.get(resource)
        if known is None or known[0] is not snapshot:
            known = self._known[resource] = snapshot, _count(snapshot)
        return known[1]


def _count(snapshot: Snapshot) -> Count:
    devices = snapshot.devices
    found = Counter(standing(device.health.value, held=device.held) for device in devices)
    kinds = Counter(_kind(device) for device in devices if device.reason and not device.held)
    common = dict(kinds.most_common(_REASONS_LIMIT))
    if rest := kinds.total() - sum(common.values()):
        common["other"] = rest
    return Count({each: found[each] for each in STANDINGS}, common)


def _kind(device: ListedDevice) -> str:
    return device.reason.partition(":")[0][:_REASON_LENGTH]
