"""What a backend is given of the host."""

from dataclasses import dataclass
from pathlib import Path

from nodeplug.host.kernel_uevents import KernelUevents
from nodeplug.host.root import HostRoot
from nodeplug.host.socket_uevents import SocketUevents
from nodeplug.host.uevents import UeventSource


@dataclass(frozen=True, slots=True)
class Host:
    """The host's file trees and its kernel events."""

    root: HostRoot
    uevents: UeventSource


def open_host(root: str = "/", uevents: str = "kernel") -> Host:
    """Return the host below a root directory.

    `uevents` is "kernel", or the path of a datagram socket on which a simulated host sends them.
    Nothing is opened before somebody subscribes.
    """
    host_root = HostRoot(Path(root))
    source = KernelUevents() if uevents == "kernel" else SocketUevents(Path(uevents))
    return Host(host_root, source)
