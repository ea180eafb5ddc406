"""Which of several offered devices that cannot be given at once is given."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from nodeplug.holdings.index import UseIndex
from nodeplug.values.hardware import HardwareKey, Use, Uses, meet

Unit = tuple[str, str]
"""A resource's public name and the id of a device in it, for all its replicas."""


class Sound(Protocol):
    """The devices of a resource by id, and which of them could be given: a mapping will do."""

    def __contains__(self, device_id: object, /) -> bool: ...

    def get(self, device_id: str, default: bool, /) -> bool:  # noqa: FBT001 - a mapping's
        """Return whether a device could be given, `default` where it is not offered."""
        ...


class Rival(NamedTuple):
    """The device that is offered instead, and the hardware that both are."""

    unit: Unit
    hardware: HardwareKey


class Rivals:
    """All offered devices, and which of them exclude each other."""

    def __init__(self) -> None:
        self._offered: dict[str, Mapping[str, Uses]] = {}
        self._contested: Sequence[tuple[Unit, Uses]] | None = ()

    def offer(self, resource: str, uses: Mapping[str, Uses]) -> None:
        """Replace the devices of a resource, by id."""
        before = self._offered.get(resource)
        if before is not uses and before != uses:
            self._offered[resource] = uses
            self._contested = None

    def losers(self, rank: Callable[[Unit], int]) -> Mapping[Unit, Rival]:
        """Return the devices that are not offered, each with the one that is.

        Those of a lower rank come first, then those of resources that were offered earlier.
        """
        if self._contested is None:
            self._contested = list(self._find())
        if not self._contested:
            return _NONE
        chosen: UseIndex[Unit] = UseIndex()
        lost: dict[Unit, Rival] = {}
        for unit, uses in sorted(self._contested, key=lambda each: rank(each[0])):
            winner = next(chosen.meeting(uses), None)
            if winner is None:
                chosen.put(unit, {}, uses)
            else:
                lost[unit] = Rival(*winner)
        return lost

    def _find(self) -> Iterator[tuple[Unit, Uses]]:
        contested = _contested(self._offered.values())
        for resource, devices in self._offered.items() if contested else ():
            for device_id, uses in devices.items():
                if not contested.isdisjoint(uses):
                    yield (resource, device_id), uses


_NONE: Mapping[Unit, Rival] = {}


def _contested(offers: Collection[Mapping[str, Uses]]) -> set[HardwareKey]:
    seen: dict[HardwareKey, Use] = {}
    found: set[HardwareKey] = set()
    for devices in offers:
        for uses in devices.values():
            for hardware, use in uses.items():
                if hardware not in seen:
                    seen[hardware] = use
                elif meet(seen[hardware], use):
                    found.add(hardware)
    return found
