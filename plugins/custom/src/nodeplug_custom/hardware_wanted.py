"""Whether the configuration asks for hardware, and what does where it does not."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from nodeplug.backend import Omissions
from nodeplug.host.identities import Identities
from nodeplug_custom.interest import Interest
from nodeplug_custom.memory import Memory
from nodeplug_custom.settings import CustomSettings

if TYPE_CHECKING:
    from nodeplug_custom.globs import Place
    from nodeplug_custom.hardware import Hardware
    from nodeplug_custom.hardware_devices import Sight


class NoHardware:
    """Does what `Hardware` does where there is none."""

    def __init__(self) -> None:
        self.sights: Mapping[str, Sight] = {}
        self.left_out = Omissions()
        self.places: Collection[Place] = ()

    def begin(self, _look: Callable[[], None]) -> None:
        """Have nothing to tell."""

    def follow(self) -> None:
        """Follow nothing."""

    async def close(self) -> None:
        """End nothing."""


def hardware_of(
    settings: CustomSettings, memory: Memory, interest: Interest, identities: Identities
) -> "Hardware | NoHardware":
    """Return what looks for the hardware that the configuration asks for."""
    if not any(each.hardware or each.sets or each.zipped for each in settings.resources):
        return NoHardware()
    # 0.3 MiB that paths do without.
    from nodeplug_custom.hardware import Hardware, HardwareMemory  # noqa: PLC0415

    memory.hardware = memory.hardware or HardwareMemory(memory.patience)
    return Hardware(settings, memory.hardware, interest, identities)
