"""Links, default routes and their next hops, as the kernel tells them over netlink.

Layouts and numbers are those of linux/rtnetlink.h, if_link.h, if.h and nexthop.h.
"""

import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from nodeplug_sriov_net.facts import Link
from nodeplug_sriov_net.netlink import (
    LINK,
    ROUTE,
    ROUTES,
    Message,
    ask,
    attribute,
    attributes,
    nested,
    number,
    parsed,
    tell_once,
    text_of,
)
from nodeplug_sriov_net.reading import KINDS
from nodeplug_sriov_net.uplinks import SHORT

T = TypeVar("T")

NEWLINK, DELLINK, GETLINK, NEWROUTE, DELROUTE, GETROUTE = 16, 17, 18, 24, 25, 26
NEWNEXTHOP, DELNEXTHOP, GETNEXTHOP = 104, 105, 106
# Links, routes of IPv4 and of IPv6, next hops.
GROUPS: Final = (1, 7, 11, 32)
_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_TRIES: Final = 3
_LINK: Final = struct.Struct("=BxHiII")
_ROUTE: Final = struct.Struct("=8BI")
_NEXTHOP: Final = struct.Struct("=4BI")
_IN_GROUP: Final = struct.Struct("=IBBH")
_IFF_UP, _WITH_FUNCTIONS, _UNICAST = 0x1, 0x1, 1
_EXT_MASK, _NEXTHOP_ID = 29, 30
_ID, _GROUP, _HOP_OIF = 1, 2, 5
_STATES: Final = {0: "auto", 1: "enable", 2: "disable"}
# linux/sockios.h, linux/ethtool.h: struct ethtool_cmd, of which the halves of the speed matter.
_SIOCETHTOOL, _GSET, _COMMAND_SIZE = 0x8946, 1, 44
_SPEED_OFFSET, _SPEED_HIGH_OFFSET = 12, 28
_UNKNOWN_SPEED: Final = 0xFFFFFFFF


class Routes(NamedTuple):
    """The links that default routes lead out of, and the next hops by which they do."""

    links: frozenset[int] = frozenset()
    hops: frozenset[int] = frozenset()
    whole: bool = True


class Links(NamedTuple):
    """All links by index; `whole` says that nothing changed while they were read."""

    links: Mapping[int, Link]
    whole: bool


def read_links() -> Links:
    """Return all links of this network namespace. Blocks. Raises OSError."""
    for _ in range(_TRIES):
        answer = ask(ROUTE, GETLINK, _LINK.pack(0, 0, 0, 0, 0), dump=True, keep=lambda _: True)
        if answer.whole:
            break
    found = (link for message in answer.messages for link in _odd_aside(link_of, message))
    return Links({link.index: link for link in found if link}, answer.whole)


def read_routes() -> Routes:
    """Return where default routes lead, in all tables. Blocks. Raises OSError."""
    for _ in range(_TRIES):
        found = _read_routes()
        if found.whole:
            break
    return found


def _read_routes() -> Routes:
    routes, whole = [], True
    for family in _FAMILIES:
        body = _ROUTE.pack(family, *[0] * 8)
        answer = ask(ROUTE, GETROUTE, body, dump=True, keep=is_default)
        routes += answer.messages
        whole &= answer.whole
    hops = {each for message in routes for each in _odd_aside(route_hop, message) if each}
    links = {index for each in routes for found in _odd_aside(route_links, each) for index in found}
    if hops:
        table = ask(ROUTE, GETNEXTHOP, _NEXTHOP.pack(*[0] * 5), dump=True, keep=lambda _: True)
        known = dict(each for m in table.messages for each in _odd_aside(nexthop_of, m))
        hops |= {member for hop in hops for member in known.get(hop, ((), 0))[0]}
        links |= {index for hop in hops if (index := known.get(hop, ((), 0))[1])}
        whole &= table.whole
    return Routes(frozenset(links), frozenset(hops), whole)


def read_states(index: int) -> Mapping[int, str]:
    """Return how the links of a physical function's functions are set, by index. Blocks."""
    body = _LINK.pack(0, 0, index, 0, 0) + attribute(_EXT_MASK, struct.pack("=I", _WITH_FUNCTIONS))
    answer = ask(ROUTE, GETLINK, body, dump=False, keep=lambda _: True)
    return dict(each for message in answer.messages for each in function_states(message))


def read_speeds(names: Iterable[tuple[int, str]]) -> Mapping[int, int]:
    """Return the speed in Mbit/s of links, given as (index, name), where it is known. Blocks."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as kernel:
        found = {index: _speed(kernel, name) for index, name in names}
    return {index: speed for index, speed in found.items() if speed}


def _speed(kernel: socket.socket, name: str) -> int:
    command = bytearray(struct.pack("=I", _GSET).ljust(_COMMAND_SIZE, b"\0"))
    place = ctypes.addressof(ctypes.c_char.from_buffer(command))
    request = struct.pack("16sP16x", name.encode(errors="surrogateescape"), place)
    try:
        fcntl.ioctl(kernel, _SIOCETHTOOL, request)
    except OSError:  # no such link any more, or one that has no speed
        return 0
    low = struct.unpack_from("=H", command, _SPEED_OFFSET)[0]
    speed: int = low | struct.unpack_from("=H", command, _SPEED_HIGH_OFFSET)[0] << 16
    return 0 if speed in {_UNKNOWN_SPEED, 0xFFFF} else speed


def link_of(message: Message) -> Link | None:
    """Return the link that a message is about; None where it tells of a bridge's port only."""
    found = parsed(message, LINK)
    if found["family"]:
        return None
    kind, info = found["ifi_type"], next(iter(nested(found, "IFLA_LINKINFO")), None)
    elsewhere = found.get_attr("IFLA_LINK_NETNSID") is not None
    return Link(
        index=found["index"],
        name=text_of(found, "IFLA_IFNAME"),
        kind=KINDS.get(kind, str(kind)),
        address=text_of(found, "IFLA_ADDRESS"),
        carrier=_carrier(found),
        switch=text_of(found, "IFLA_PHYS_SWITCH_ID"),
        port=text_of(found, "IFLA_PHYS_PORT_NAME"),
        master=found.get_attr("IFLA_MASTER") or 0,
        lower=0 if elsewhere else found.get_attr("IFLA_LINK") or 0,
        driver=text_of(info, "IFLA_INFO_KIND"),
        port_of=text_of(info, "IFLA_INFO_SLAVE_KIND"),
        other_names=tuple(
            os.fsdecode(each).rstrip("\0")
            for names in nested(found, "IFLA_PROP_LIST")
            for each in names.get_attrs("IFLA_ALT_IFNAME")
        ),
    )


def _carrier(found: Any) -> bool | None:
    carrier = found.get_attr("IFLA_CARRIER")
    return bool(carrier) if found["flags"] & _IFF_UP and carrier is not None else None


def is_default(message: Message) -> bool:
    """Return whether a message is about a default route, or one as good as that.

    A node may have a million of others.
    """
    family, length = message.body[:2] if len(message.body) >= _ROUTE.size else (0, 0)
    return length <= SHORT.get(family, -1)


def route_links(message: Message) -> list[int]:
    """Return the indexes of links that a route names as its ways out."""
    found = parsed(message, ROUTES)
    if found["type"] != _UNICAST:
        return []
    hops = found.get_attr("RTA_MULTIPATH") or ()
    return [each for each in (found.get_attr("RTA_OIF"), *(hop["oif"] for hop in hops)) if each]


def route_hop(message: Message) -> int:
    """Return the id of the next hop, a group perhaps, that a route uses; 0 where it has none.

    pyroute2 0.9 knows nothing of next hops.
    """
    return number(attributes(message.body, _ROUTE.size), _NEXTHOP_ID)


def nexthop_of(message: Message) -> tuple[int, tuple[tuple[int, ...], int]]:
    """Return the id of a next hop, the ids that are in it as a group, the link it leads out of."""
    found = attributes(message.body, _NEXTHOP.size)
    group = found.get(_GROUP, b"")
    members = tuple(each[0] for each in _IN_GROUP.iter_unpack(group[: len(group) // 8 * 8]))
    return number(found, _ID), (members, number(found, _HOP_OIF))


def function_states(message: Message) -> Iterator[tuple[int, str]]:
    """Yield (index, state) of the links of a physical function's virtual functions."""
    functions = nested(parsed(message, LINK), "IFLA_VFINFO_LIST")
    for info in (each for listed in functions for each in nested(listed, "IFLA_VF_INFO")):
        state = info.get_attr("IFLA_VF_LINK_STATE")
        if state:
            yield state["vf"], _STATES.get(state["link_state"], "auto")


def _odd_aside(read: Callable[[Message], T], message: Message) -> Iterator[T]:
    try:
        yield read(message)
    except (ValueError, struct.error) as error:
        tell_once(f"{type(error).__name__}: {error}")
