"""Who uses which hardware."""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from nodeplug.values.hardware import HardwareKey, Use, Uses, meet

_Holder = TypeVar("_Holder")


class UseIndex(Generic[_Holder]):
    """The uses of any number of holders, found by hardware."""

    def __init__(self) -> None:
        self._by_hardware: dict[HardwareKey, dict[_Holder, Use]] = {}

    def put(self, holder: _Holder, before: Uses, after: Uses) -> None:
        """Let a holder have other uses than before."""
        for hardware in before.keys() - after.keys():
            holders = self._by_hardware[hardware]
            del holders[holder]
            if not holders:
                del self._by_hardware[hardware]
        for hardware, use in after.items():
            self._by_hardware.setdefault(hardware, {})[holder] = use

    def meeting(self, uses: Uses) -> Iterator[tuple[_Holder, HardwareKey]]:
        """Yield every holder whose use excludes one of these, with the hardware."""
        if self._by_hardware.keys().isdisjoint(uses):
            return
        for hardware, use in uses.items():
            for holder, other in self._by_hardware.get(hardware, _NOBODY).items():
                if meet(use, other):
                    yield holder, hardware


_NOBODY: Mapping[Any, Use] = {}
