"""Netlink: packets, questions and events; the one module that uses pyroute2, which reads messages.

What is asked may wait for the kernel's locks, already when it is sent, so `ask` is for a thread of
its own. What is heard waits for nothing. Layouts are those of linux/netlink.h.

Importing it takes 4 MiB and some 40 ms, so it is loaded where netlink is used and only there.
"""

import asyncio
import errno
import functools
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec, module_from_spec
from typing import Any, Final, NamedTuple


def _leave_package_empty() -> None:
    # The package's own __init__ loads all of its 160 modules, 13 MiB; 35 are needed here.
    if "pyroute2" not in sys.modules and (spec := find_spec("pyroute2")):
        sys.modules["pyroute2"] = module_from_spec(spec)


_leave_package_empty()

from pyroute2.netlink import ctrlmsg  # noqa: E402
from pyroute2.netlink.devlink import devlinkcmd  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

CONTROL, DEVLINK, LINK, ROUTES = ctrlmsg, devlinkcmd, ifinfmsg, rtmsg
"""How messages are laid out."""

_log = logging.getLogger("nodeplug.sriov_net")

ROUTE, GENERIC = 0, 16
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP, _INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_TYPE: Final = 0x3FFF  # of the rest, one bit says that there are attributes in it
_ADD_MEMBERSHIP, _SOL_NETLINK = 1, 270
# The kernel fills 32 KiB at most (netlink_dump in net/netlink/af_netlink.c).
_PACKET: Final = 1 << 16
_AT_ONCE: Final = 64


class Message(NamedTuple):
    """A message: its type, its flags, and what follows its header."""

    kind: int
    flags: int
    body: bytes


class Answer(NamedTuple):
    """The messages of an answer; `whole` says that nothing changed meanwhile."""

    messages: list[Message]
    whole: bool


Attributes = dict[int, bytes]
Receive = Callable[[Message | None], None]


def messages(packet: bytes) -> Iterator[Message]:
    """Yield the messages of a packet; one that is odd hides no other."""
    offset = 0
    while offset <= len(packet) - _HEADER.size:
        size, kind, flags, _, _ = _HEADER.unpack_from(packet, offset)
        size = max(_HEADER.size, size)
        yield Message(kind, flags, packet[offset + _HEADER.size : offset + size])
        offset += size + -size % 4


def parsed(message: Message, layout: type[Any]) -> Any:
    """Return a message as pyroute2 reads it; raise ValueError where it makes no sense."""
    size = _HEADER.size + len(message.body)
    found = layout(_HEADER.pack(size, message.kind, message.flags, 0, 0) + message.body)
    try:
        found.decode()
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return found


def nested(message: Any, name: str) -> list[Any]:
    """Return the attributes of a name that have attributes in them; ValueError where one is odd."""
    found: list[Any] = message.get_attrs(name)
    if not all(hasattr(each, "get_attrs") for each in found):  # pyroute2 leaves bytes
        raise ValueError(f"{name} is no list of attributes")
    return found


def text_of(message: Any, name: str) -> str:
    """Return an attribute that is a text, empty where it is missing; the kernel's are bytes."""
    value = message.get_attr(name) if message else None
    return os.fsdecode(value).rstrip("\0") if isinstance(value, bytes | str) else ""


def pairs(data: bytes, offset: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the attributes from an offset on, type and value; ValueError where one is cut off."""
    while offset <= len(data) - _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if not _ATTRIBUTE.size <= size <= len(data) - offset:
            raise ValueError(f"attribute of {size} bytes at {offset} of {len(data)}")
        yield kind & _TYPE, data[offset + _ATTRIBUTE.size : offset + size]
        offset += size + -size % 4


def attributes(data: bytes, offset: int = 0) -> Attributes:
    """Return the attributes from an offset on, by type."""
    return dict(pairs(data, offset))


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute as the kernel wants it."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def number(found: Attributes, kind: int) -> int:
    """Return an attribute that is a number, 0 where it is missing."""
    return int.from_bytes(found.get(kind, b""), sys.byteorder)


def ask(
    protocol: int, kind: int, body: bytes, *, dump: bool, keep: Callable[[Message], bool]
) -> Answer:
    """Return what the kernel answers, as far as it is to be kept.

    Blocks as long as the kernel does. Raises OSError where it refuses.
    """
    flags = _REQUEST | (_DUMP if dump else _ACK)
    found: list[Message] = []
    whole = True
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol
    ) as kernel:
        kernel.bind((0, 0))
        kernel.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body)
        while True:
            packet, (port, _) = kernel.recvfrom(_PACKET)
            for message in messages(packet) if port == 0 else ():
                whole &= not message.flags & _INTERRUPTED
                if message.kind in {_ERROR, _DONE}:
                    _check(message)
                    return Answer(found, whole)
                if keep(message):
                    found.append(message)


def _check(end: Message) -> None:
    code = -struct.unpack_from("=i", end.body.ljust(4, b"\0"))[0]
    if code:
        raise OSError(code, os.strerror(code))


class Listener:
    """Hands every message of the kernel's groups to `receive`, in order, on the event loop.

    None stands for messages that were lost; listening goes on.
    """

    def __init__(self, protocol: int, receive: Receive, *, buffer: int = 0) -> None:
        self._protocol = protocol
        self._receive = receive
        self._buffer = buffer
        self._socket: socket.socket | None = None

    def open(self, groups: Sequence[int]) -> None:
        """Listen from the return on. Raises OSError where the kernel refuses."""
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, self._protocol)
        if self._buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
        self._socket.bind((0, 0))
        for group in groups:
            self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read, self._socket)

    def close(self) -> None:
        """Receive nothing any more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def take(self, packet: bytes) -> None:
        """Have each message of a packet received."""
        for message in messages(packet):
            try:
                self._receive(message)
            except (ValueError, struct.error) as error:
                tell_once(f"{type(error).__name__}: {error}")

    def _read(self, kernel: socket.socket) -> None:
        for _ in range(_AT_ONCE):  # others have their turn, too
            try:
                packet, (port, _) = kernel.recvfrom(_PACKET)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # ENOBUFS: there was more than the socket holds
                if error.errno != errno.ENOBUFS:
                    tell_once(str(error))
                self._receive(None)
                return
            if port == 0:
                self.take(packet)


@functools.lru_cache(maxsize=16)
def tell_once(error: str) -> None:
    """Log that a message makes no sense."""
    _log.warning("netlink message not understood", extra={"nodeplug": {"error": error}})
