"""Real kernel events, made on demand."""

import os
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

from nodeplug.host.uevents import Resync, Uevent
from support.needs import require

_NULL = Path("/sys/class/mem/null/uevent")
_ZRAM = Path("/sys/class/zram-control")


# Marks the events made here: other tests on this machine may make their own at the same time.
_MARK = str(uuid.uuid4())


def trigger(action: str = "change") -> None:
    """Make the kernel send an event of /dev/null, which changes nothing."""
    require(os.access(_NULL, os.W_OK), "kernel events on demand need root and a writable /sys")
    _NULL.write_text(f"{action} {_MARK}")


async def triggered(events: AsyncIterator[Uevent | Resync]) -> Uevent:
    """Return the next event that `trigger` made in this process."""
    async for event in events:
        if isinstance(event, Uevent) and event.properties.get("SYNTH_UUID") == _MARK:
            return event
    raise AssertionError


@contextmanager
def zram() -> Iterator[str]:
    """Add a true block device to this machine and give its name; remove it at the end."""
    require(os.access(_ZRAM / "hot_add", os.R_OK), "a zram device needs root and the zram driver")
    number = (_ZRAM / "hot_add").read_text().strip()
    try:
        yield f"zram{number}"
    finally:
        (_ZRAM / "hot_remove").write_text(number)
