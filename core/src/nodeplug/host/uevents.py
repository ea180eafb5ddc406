"""Kernel device events (uevents): what they are and how to listen to them.

`kernel_uevents` hears the kernel of this machine, `socket_uevents` a simulator.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec


class Uevent(msgspec.Struct, frozen=True):
    """What the kernel said of one device: "add", "remove", "change", "bind", "unbind" or "move".

    `devpath` is relative to /sys and starts with "/devices/"; drivers and modules speak too, with
    "/bus/" and "/module/". `devname` is the host path of the device node or empty.
    """

    action: str
    devpath: str
    subsystem: str
    devname: str
    properties: Mapping[str, str]


class Resync(msgspec.Struct, frozen=True):
    """Events were lost: look at everything again."""


class UeventSource(Protocol):
    """Hands kernel events to any number of subscribers."""

    def subscribe(
        self, subsystems: Collection[str] = ()
    ) -> AbstractAsyncContextManager[AsyncIterator[Uevent | Resync]]:
        """Listen from entry to exit of the context, to all subsystems where none is named.

        What happens after entry is delivered: enter first, look second, and no change is missed.
        """
        ...
