"""The kernel's links, routes and devlink over netlink: the one module that uses pyroute2.

Importing it takes 4 MiB and some 40 ms, so it is loaded where netlink is used and only there.
"""

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

from nodeplug_sriov_net.facts import Link
from nodeplug_sriov_net.reading import KINDS


def _leave_package_empty() -> None:
    # The package's own __init__ loads all of its 160 modules, 13 MiB; 35 are needed here.
    if "pyroute2" not in sys.modules and (spec := find_spec("pyroute2")):
        sys.modules["pyroute2"] = module_from_spec(spec)


_leave_package_empty()

from pyroute2.netlink.devlink import AsyncDevlinkSocket, devlinkcmd  # noqa: E402
from pyroute2.netlink.exceptions import NetlinkError  # noqa: E402
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket, Marshal  # noqa: E402
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg  # noqa: E402
from pyroute2.netlink.rtnl.rtmsg import rtmsg  # noqa: E402

# linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if.h
_ROUTE: Final = 0
_GROUPS: Final = 0x1 | 0x40 | 0x400  # links, routes of IPv4 and of IPv6
_ERROR, _DONE = 2, 3
NEWLINK, DELLINK, GETLINK, NEWROUTE, DELROUTE, GETROUTE = 16, 17, 18, 24, 25, 26
_REQUEST, _ACK, _DUMP, _INTERRUPTED = 0x1, 0x4, 0x300, 0x10
_IFF_UP: Final = 0x1
_WITH_FUNCTIONS: Final = 0x1
_UNICAST: Final = 1
_LENGTH_OFFSET: Final = 17  # of rtmsg.rtm_dst_len, from the start of a message
# linux/devlink.h
INFO_GET, REPORTER_GET = 51, 52
_REPORTER_ERROR: Final = 1
_DDP_NAME: Final = "fw.app.name"  # kernel, Documentation/networking/devlink/ice.rst
LINK_STATES: Final = {0: "auto", 1: "enable", 2: "disable"}

_HEADER_SIZE: Final = 16  # struct nlmsghdr

_log = logging.getLogger("nodeplug.sriov_net")

Receive = Callable[[Any], None]


class _DefaultRoutes(Marshal):  # type: ignore[misc]
    """Decodes links, and of routes the default ones: a node may have a million of others."""

    msg_map: Final = {
        NEWLINK: ifinfmsg,
        DELLINK: ifinfmsg,
        NEWROUTE: rtmsg,
        DELROUTE: rtmsg,
    }

    def get_parser(self, key: int, flags: int, number: int) -> Any:
        parse = super().get_parser(key, flags, number)
        return partial(_parse_default, parse) if key in {NEWROUTE, DELROUTE} else parse


class RouteSocket(AsyncNetlinkSocket):  # type: ignore[misc]
    """Hands every message of the kernel about links and default routes to `receive`, in order.

    None stands for messages that were lost; reading goes on. The kernel's answers to `ask` come
    the same way, so that they and the events around them never disagree.
    """

    marshal_class = _DefaultRoutes

    def __init__(self, receive: Receive, *, buffer: int) -> None:
        super().__init__(family=_ROUTE, rcvbuf=buffer)
        self._receive: Receive = receive
        self._number = 0

    async def open(self) -> None:
        """Listen from the return on. Raises OSError where the kernel refuses."""
        with _os_errors():
            await self.bind(groups=_GROUPS)

    def shut(self) -> None:
        """Close the socket; nothing is received any more."""
        self._receive = _drop
        self.close()

    def ask(self, kind: int, family: int = 0, *, index: int = 0) -> int:
        """Ask for all links or routes, or for one link with its functions; return the number.

        Messages of the answer bear it. That of a dump ends with one of which `is_end` is true.
        """
        self._number += 1
        message = ifinfmsg() if kind == GETLINK else rtmsg()
        message["family"] = family
        if index:
            message["index"] = index
            message["attrs"] = [("IFLA_EXT_MASK", _WITH_FUNCTIONS)]
        return _send(self, message, self._number, kind, _ACK if index else _DUMP)

    def enqueue(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the library's signature
        """Take what the kernel sends; called by the library, which would let it pile up."""
        _hand_over(self, data, self._receive)


class DevlinkSocket(AsyncDevlinkSocket):  # type: ignore[misc]
    """Hands every message of devlink to `receive`, in order, as `RouteSocket` does for links."""

    def __init__(self, receive: Receive) -> None:
        super().__init__()
        self._receive: Receive = receive
        self._number = 0
        self._listening = False

    async def open(self) -> None:
        """Listen from the return on. Raises OSError where the kernel has no devlink."""
        with _os_errors():
            await self.bind()
            self.add_membership("config")
        self._listening = True

    def shut(self) -> None:
        """Close the socket; nothing is received any more."""
        self._receive = _drop
        self.close()

    def ask(self, command: int) -> int:
        """Ask for what a command tells of all devices; return the number of the dump."""
        self._number += 1
        message = devlinkcmd()
        message["cmd"] = command
        message["version"] = 1
        return _send(self, message, self._number, self.prid, _DUMP)

    def enqueue(self, data: bytes, addr: object) -> None:
        """Take what the kernel sends, once the library has had its own answers."""
        if self._listening:
            _hand_over(self, data, self._receive)
        else:
            super().enqueue(data, addr)


def _parse_default(parse: Any, data: bytes, offset: int, length: int) -> Any:
    return None if data[offset + _LENGTH_OFFSET] else parse(data, offset, length)


def is_answer(socket: Any, message: Any) -> bool:
    """Return whether a message answers a question of this socket, and is no event."""
    return bool(message["header"]["pid"] == socket.epid)


def is_end(message: Any) -> bool:
    """Return whether a message ends an answer."""
    return message["header"]["type"] in {_ERROR, _DONE}


def error_of(message: Any) -> OSError | None:
    """Return what went wrong if the message says so."""
    error = message["header"].get("error")
    return None if error is None else OSError(getattr(error, "code", 0), str(error))


def is_interrupted(message: Any) -> bool:
    """Return whether things changed during a dump, so that it may contradict itself."""
    return bool(message["header"]["flags"] & _INTERRUPTED)


def link_of(message: Any) -> Link | None:
    """Return the link that a message is about; None where it tells of a bridge's port only."""
    if message["family"]:
        return None
    lower = (
        0 if message.get_attr("IFLA_LINK_NETNSID") is not None else message.get_attr("IFLA_LINK")
    )
    kind = message["ifi_type"]
    carrier = bool(message.get_attr("IFLA_CARRIER")) if message["flags"] & _IFF_UP else None
    return Link(
        index=message["index"],
        name=_text(message, "IFLA_IFNAME"),
        kind=KINDS.get(kind, str(kind)),
        address=_text(message, "IFLA_ADDRESS"),
        carrier=carrier,
        switch=_text(message, "IFLA_PHYS_SWITCH_ID"),
        port=_text(message, "IFLA_PHYS_PORT_NAME"),
        master=message.get_attr("IFLA_MASTER") or 0,
        lower=lower or 0,
    )


def route_links(message: Any) -> Iterator[int]:
    """Yield the indexes of links that a route leads out of."""
    if message["type"] != _UNICAST:
        return
    hops = message.get_attr("RTA_MULTIPATH") or ()
    for index in (message.get_attr("RTA_OIF"), *(hop["oif"] for hop in hops)):
        if index:
            yield index


def function_states(message: Any) -> Iterator[tuple[int, str]]:
    """Yield (index, state) of the links of a physical function's virtual functions."""
    functions = message.get_attr("IFLA_VFINFO_LIST")
    for info in functions.get_attrs("IFLA_VF_INFO") if functions else ():
        state = info.get_attr("IFLA_VF_LINK_STATE")
        if state:
            yield state["vf"], LINK_STATES.get(state["link_state"], "auto")


def device_address(message: Any) -> str:
    """Return the PCI address that a devlink message is about; empty where it is no PCI device."""
    is_pci = _text(message, "DEVLINK_ATTR_BUS_NAME") == "pci"
    return _text(message, "DEVLINK_ATTR_DEV_NAME") if is_pci else ""


def reporter_of(message: Any) -> tuple[str, bool] | None:
    """Return the name of the health reporter that a message is about, and whether it failed."""
    reporter = message.get_attr("DEVLINK_ATTR_HEALTH_REPORTER")
    name = reporter and _text(reporter, "DEVLINK_ATTR_HEALTH_REPORTER_NAME")
    if not name:
        return None
    return name, reporter.get_attr("DEVLINK_ATTR_HEALTH_REPORTER_STATE") == _REPORTER_ERROR


def ddp_package(message: Any) -> str:
    """Return the name of the DDP package that runs on a device, or nothing."""
    for version in message.get_attrs("DEVLINK_ATTR_INFO_VERSION_RUNNING"):
        if _text(version, "DEVLINK_ATTR_INFO_VERSION_NAME") == _DDP_NAME:
            return _text(version, "DEVLINK_ATTR_INFO_VERSION_VALUE")
    return ""


def _send(socket: Any, message: Any, number: int, kind: int, flags: int) -> int:
    message["header"]["type"] = kind
    message["header"]["flags"] = _REQUEST | flags
    message["header"]["sequence_number"] = number
    message.encode()
    socket.socket.send(message.data)
    return number


def _drop(message: Any) -> None:
    """Receive nothing: the library tells of its own closing as of a lost message."""


def _hand_over(socket: Any, data: bytes, receive: Receive) -> None:
    """Have each message of a packet received; one that is odd hides no other."""
    for part in _parts(data):
        try:
            for message in socket.marshal.parse(part):
                receive(None if _is_loss(message) else message)
        except Exception as error:  # noqa: BLE001 - the library checks lengths only here and there
            _tell_once(f"{type(error).__name__}: {error}")


def _parts(data: bytes) -> Iterator[bytes]:
    offset = 0
    while offset <= len(data) - _HEADER_SIZE:
        size = max(_HEADER_SIZE, int.from_bytes(data[offset : offset + 4], sys.byteorder))
        yield data[offset : offset + size]
        offset += size + -size % 4  # NLMSG_ALIGN


@functools.lru_cache(maxsize=16)
def _tell_once(error: str) -> None:
    _log.warning("netlink message not understood", extra={"nodeplug": {"error": error}})


def _text(message: Any, name: str) -> str:
    """Return an attribute that is a text, empty where it is missing; the kernel's are bytes."""
    value = message.get_attr(name)
    return os.fsdecode(value).rstrip("\0") if isinstance(value, bytes | str) else ""


@contextmanager
def _os_errors() -> Iterator[None]:
    try:
        yield
    except (KeyError, NetlinkError) as error:  # KeyError: the library found no free address
        raise OSError(*error.args) from error


def _is_loss(message: Any) -> bool:
    return message["header"]["type"] == _ERROR and not message["header"]["sequence_number"]
