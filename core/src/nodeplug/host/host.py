"""What a backend is given of the host."""

from dataclasses import field
from pathlib import Path

import msgspec

from nodeplug.host.identities import Identities
from nodeplug.host.kernel_uevents import KernelUevents
from nodeplug.host.root import HostRoot
from nodeplug.host.socket_uevents import SocketUevents
from nodeplug.host.uevents import UeventSource


class Host(msgspec.Struct, frozen=True):
    """The host's file trees, its kernel events, and the memory of what things on it are called."""

    root: HostRoot
    uevents: UeventSource
    identities: Identities = field(default_factory=Identities, compare=False)


def open_host(
    root: str = "/", uevents: str = "kernel", identities: Identities | None = None
) -> Host:
    """Return the host below a root directory.

    `uevents` is "kernel", or the path of a datagram socket on which a simulated host sends them.
    Nothing is opened before somebody subscribes.
    """
    host_root = HostRoot(Path(root))
    source = KernelUevents() if uevents == "kernel" else SocketUevents(Path(uevents))
    return Host(host_root, source, identities or Identities())
