"""Which boot of the host this is."""

from pathlib import Path
from typing import Final

_FILE: Final = "proc/sys/kernel/random/boot_id"


def boot_id(root: Path = Path("/")) -> str:
    """Return the kernel's id of this boot, "" where it cannot be read.

    All processes of a node are told the same. A host that is simulated below `root` may have one.
    """
    for place in (root / _FILE, Path("/") / _FILE):
        try:
            return place.read_text().strip()
        except OSError:
            continue
    return ""
