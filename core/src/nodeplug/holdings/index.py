"""Who uses which hardware."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from nodeplug.values.hardware import HardwareKey, Use, Uses, meet

_Holder = TypeVar("_Holder")


class UseIndex(Generic[_Holder]):
    """The uses of any number of holders, found by hardware; nearly all hardware has one."""

    def __init__(self) -> None:
        self._first: dict[HardwareKey, tuple[_Holder, Use]] = {}
        self._others: dict[HardwareKey, dict[_Holder, Use]] = {}

    def put(self, holder: _Holder, before: Uses, after: Uses) -> None:
        """Let a holder have other uses than before."""
        for hardware in before.keys() - after.keys():
            self._remove(holder, hardware)
        for hardware, use in after.items():
            if self._first.setdefault(hardware, (holder, use))[0] == holder:
                self._first[hardware] = holder, use
            else:
                self._others.setdefault(hardware, {})[holder] = use

    def _remove(self, holder: _Holder, hardware: HardwareKey) -> None:
        others = self._others.get(hardware, {})
        if self._first[hardware][0] != holder:
            del others[holder]
        elif others:
            self._first[hardware] = others.popitem()
        else:
            del self._first[hardware]
        if not others:
            self._others.pop(hardware, None)

    def meeting(self, uses: Uses) -> Iterator[tuple[_Holder, HardwareKey]]:
        """Yield every holder whose use excludes one of these, with the hardware."""
        if self._first.keys().isdisjoint(uses):
            return
        for hardware, use in uses.items():
            if hardware in self._first:
                others = self._others.get(hardware, {}).items()
                for holder, other in (self._first[hardware], *others):
                    if meet(use, other):
                        yield holder, hardware
