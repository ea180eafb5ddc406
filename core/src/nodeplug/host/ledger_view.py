"""What stands in the ledger, for whoever has no part in it."""

import os
from contextlib import suppress
from pathlib import Path

from nodeplug.host.boot import boot_id
from nodeplug.host.ledger_files import SUFFIX, Key, opened


def written_down(folder: Path) -> frozenset[Key]:
    """Return what agents have noted that containers have; takes no lock and changes nothing."""
    found: set[Key] = set()
    with suppress(OSError):
        boot = boot_id()
        with os.scandir(folder) as places:
            for place in places:
                if place.name.endswith(SUFFIX) and (file := opened(place, boot)):
                    file.read()
                    found |= file.living.keys()
                    file.close()
    return frozenset(found)
