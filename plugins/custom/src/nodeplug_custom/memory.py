"""What was seen before and is gone."""

import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from nodeplug_custom.patience import Patience
from nodeplug_custom.selection import Found, Sighting

if TYPE_CHECKING:
    from nodeplug_custom.hardware import HardwareMemory

# A host that makes and removes nodes for ever must not fill the memory.
_LIMIT: Final = 1000


class Memory:
    """The devices by path that once were; outlives a reload of the configuration.

    `looking` is held while somebody looks at the host. `hardware` is what the other selectors
    found, `patience` what entries saw on file systems that may hang.
    """

    def __init__(self) -> None:
        self.looking = threading.Lock()
        self.patience = Patience[Found]()
        self.hardware: HardwareMemory | None = None
        self._present: Mapping[str, Sighting] = {}
        self._gone: dict[str, Sighting] = {}

    def gone(self, sightings: Iterable[Sighting]) -> list[Sighting]:
        """Take note of what is present; return what was and is not, the last 1,000 of it."""
        present = {seen.id: seen for seen in sightings}
        self._gone.update(self._present)
        for each in present:
            self._gone.pop(each, None)
        for each in [*self._gone][:-_LIMIT]:
            del self._gone[each]
        self._present = present
        return [*self._gone.values()]
