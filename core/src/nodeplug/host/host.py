"""What a backend is given of the host."""

from dataclasses import dataclass

from nodeplug.host.root import HostRoot
from nodeplug.host.uevents import UeventSource


@dataclass(frozen=True, slots=True)
class Host:
    """The host's file trees and its kernel events."""

    root: HostRoot
    uevents: UeventSource
