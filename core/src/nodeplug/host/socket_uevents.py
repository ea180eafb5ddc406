"""The events of simulated hardware, over a unix socket."""

import os
import socket
from contextlib import suppress
from pathlib import Path

from nodeplug.host.nodes import node_type
from nodeplug.host.uevent_hub import UeventHub
from nodeplug.host.uevent_text import parse, render
from nodeplug.host.uevents import Uevent

_MESSAGE_LIMIT = 65536

# How long a simulator waits for a listener whose queue is full.
_SEND_TIMEOUT = 5.0


class SocketUevents(UeventHub):
    """What simulators say at a socket, in the kernel's own text, one event a datagram.

    The socket is bound (mode 0600) with the first subscriber; one left there by another is
    replaced, and its owner hears no more. An unreadable datagram gives every subscriber a `Resync`.
    """

    def __init__(self, path: Path) -> None:
        async def open_reader() -> "_DatagramReader":
            return _DatagramReader(path)

        super().__init__(open_reader)


def send_uevent(path: Path, event: Uevent) -> None:
    """Tell the listener at a path of an event; nothing happens where nobody listens.

    Blocks while the listener's queue is full (net.unix.max_dgram_qlen, 10 and more), so bursts
    are not sent from the listener's own event loop; TimeoutError after 5 s.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(_SEND_TIMEOUT)
        with suppress(FileNotFoundError, ConnectionRefusedError):
            sender.sendto(render(event), str(path))


class _DatagramReader:
    """Events from a unix datagram socket bound here."""

    def __init__(self, path: Path) -> None:
        if node_type(path) == "socket":
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            os.fchmod(self._socket.fileno(), 0o600)  # the mode that bind(2) will use
            self._socket.bind(str(path))
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def read(self) -> Uevent | None:
        try:
            return parse(self._socket.recv(_MESSAGE_LIMIT))
        except BlockingIOError:
            return None

    def close(self) -> None:
        # The file stays: it may be another's by now, and the next to listen replaces it.
        self._socket.close()
