"""The network devices that carry the node's default routes. They must never reach a container."""

import socket
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import refuse_shortage
from nodeplug.host.sysfs import names_in
from nodeplug_sriov_net.facts import Link

# Fields of /proc/net/route and ipv6_route (kernel, net/ipv4/fib_trie.c, net/ipv6/route.c).
_V4_NAME, _V4_FLAGS, _V4_MASK = 0, 3, 7
_V6_LENGTH, _V6_FLAGS, _V6_NAME = 1, 8, 9
# Prefixes as good as none: 0.0.0.0/1 and 128.0.0.0/1 for IPv4, 2000::/3 for IPv6.
SHORT: Final[Mapping[int, int]] = {socket.AF_INET: 1, socket.AF_INET6: 3}
_SHORT_MASKS: Final = {"00000000", "00000080"}
# linux/route.h: it leads nowhere. IPv6 always has such a default route, of "lo".
_REJECT = 0x200
_LIMIT = 1 << 20
# Kernel, net/openvswitch: links of this kind have neither master nor lower link. What goes out of
# which port of the switch stands in its tables of flows only.
_OPEN_VSWITCH = "openvswitch"
# What Open vSwitch calls the link that has all ports of it.
_SWITCH = "ovs-system"
# Links of these kinds lie upon their other end: what is sent goes where that one is a port.
_PAIRS = frozenset({"veth", "netkit"})


def uplinks_among(routes: Collection[int], links: Mapping[int, Link]) -> frozenset[str]:
    """Return the names of network devices by the indexes that default routes lead out of.

    Ports of bonds, bridges and teams are among them, what VLANs and the like lie upon, what a pair
    of links leads into, and all ports of an Open vSwitch through one of whose links a route leads.
    """
    return frozenset(links[index].name for index in all_below(routes, links) if index in links)


def all_below(routes: Collection[int], links: Mapping[int, Link]) -> set[int]:
    """Return these indexes and those of all that they lie upon."""
    found: set[int] = set()
    todo = set(routes)
    while todo:
        found |= todo
        ports = {link.index for link in links.values() if link.master in todo}
        below = {links[index].lower for index in todo if index in links}
        below |= {into for index in todo for into in _other_ends_master(index, links)}
        if any(links[index].driver == _OPEN_VSWITCH for index in todo if index in links):
            ports |= {index for index, link in links.items() if _is_switched(link)}
        todo = (ports | below) - found - {0}
    return found


def _other_ends_master(index: int, links: Mapping[int, Link]) -> Iterator[int]:
    link = links.get(index)
    if link is not None and link.driver in _PAIRS and link.lower in links:
        yield links[link.lower].master


def _is_switched(link: Link) -> bool:
    """Return whether it is a port of a switch, or a switch, which is the master of its ports."""
    return _OPEN_VSWITCH in {link.port_of, link.driver}


def read_uplinks(root: HostRoot, heard: Collection[str] = ()) -> frozenset[str]:
    """Return the same from /proc and /sys; of a multipath route for IPv4, the first hop only.

    What was `heard` of by netlink is followed, too: there, links such as VXLANs do not say what
    they lie upon.
    """
    found: set[str] = set()
    todo = {*_ipv4(root), *_ipv6(root), *heard}
    while todo:
        found |= todo
        todo = {below for name in todo for below in _lower(root, name)} - found
    return frozenset(found)


def tunnels(root: HostRoot) -> frozenset[str]:
    """Return those that have neither a device nor anything below, as WireGuard's and programs'."""
    return frozenset(name for name in read_uplinks(root) if _is_tunnel(root, name))


def _is_tunnel(root: HostRoot, name: str) -> bool:
    names = names_in(root.sys / "class/net" / name)
    return "ifindex" in names and "device" not in names and not any(_lower(root, name))


def _ipv4(root: HostRoot) -> Iterator[str]:
    for fields in _lines(root, "route"):
        if len(fields) > _V4_MASK and fields[_V4_MASK] in _SHORT_MASKS:
            yield from _way_out(fields[_V4_NAME], fields[_V4_FLAGS])


def _ipv6(root: HostRoot) -> Iterator[str]:
    for fields in _lines(root, "ipv6_route"):
        if len(fields) > _V6_NAME and int(fields[_V6_LENGTH], 16) <= SHORT[socket.AF_INET6]:
            yield from _way_out(fields[_V6_NAME], fields[_V6_FLAGS])


def _way_out(name: str, flags: str) -> Iterator[str]:
    if not int(flags, 16) & _REJECT:
        yield name


def _lines(root: HostRoot, name: str) -> Iterator[list[str]]:
    try:
        # Names of network devices are bytes, as those of files.
        with (root.proc / "net" / name).open(errors="surrogateescape") as file:
            yield from (line.split() for line in file.read(_LIMIT).splitlines())
    except OSError as error:
        refuse_shortage(error)
        return


def _lower(root: HostRoot, name: str) -> Iterator[str]:
    names = names_in(root.sys / "class/net" / name)
    below = [each.removeprefix("lower_") for each in names if each.startswith("lower_")]
    switch = root.sys / "class/net" / _SWITCH
    if not below and "device" not in names and name != _SWITCH and switch.exists():
        below = [_SWITCH]  # it may be a link of the switch; nothing in sysfs says so
    yield from below
