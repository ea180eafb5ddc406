"""Real kernel events, made on demand."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.needs import require

_NULL = Path("/sys/class/mem/null/uevent")
_ZRAM = Path("/sys/class/zram-control")


def trigger(action: str = "change") -> None:
    """Make the kernel send an event of /dev/null, which changes nothing."""
    require(os.access(_NULL, os.W_OK), "kernel events on demand need root and a writable /sys")
    _NULL.write_text(action)


@contextmanager
def zram() -> Iterator[str]:
    """Add a true block device to this machine and give its name; remove it at the end."""
    require(os.access(_ZRAM / "hot_add", os.R_OK), "a zram device needs root and the zram driver")
    number = (_ZRAM / "hot_add").read_text().strip()
    try:
        yield f"zram{number}"
    finally:
        (_ZRAM / "hot_remove").write_text(number)
