"""The network devices that carry the node's default routes. They must never reach a container."""

from collections.abc import Collection, Iterator, Mapping

from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import refuse_shortage
from nodeplug.host.sysfs import names_in
from nodeplug_sriov_net.facts import Link

# Fields of /proc/net/route and ipv6_route (kernel, net/ipv4/fib_trie.c, net/ipv6/route.c).
_V4_NAME, _V4_TARGET, _V4_FLAGS, _V4_MASK = 0, 1, 3, 7
_V6_TARGET, _V6_LENGTH, _V6_FLAGS, _V6_NAME = 0, 1, 8, 9
# linux/route.h: it leads nowhere. IPv6 always has such a default route, of "lo".
_REJECT = 0x200
_LIMIT = 1 << 20
# Kernel, net/openvswitch: links of this kind have neither master nor lower link. What goes out of
# which port of the switch stands in its tables of flows only.
_OPEN_VSWITCH = "openvswitch"
# What Open vSwitch calls the link that has all ports of it.
_SWITCH = "ovs-system"


def uplinks_among(routes: Collection[int], links: Mapping[int, Link]) -> frozenset[str]:
    """Return the names of network devices by the indexes that default routes lead out of.

    Ports of bonds, bridges and teams are among them, what VLANs and the like lie upon, and all
    ports of an Open vSwitch through one of whose links a route leads.
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
        if any(links[index].driver == _OPEN_VSWITCH for index in todo if index in links):
            ports |= {index for index, link in links.items() if _is_switched(link, links)}
        todo = (ports | below) - found - {0}
    return found


def _is_switched(link: Link, links: Mapping[int, Link]) -> bool:
    above = links.get(link.master)
    return link.port_of == _OPEN_VSWITCH or (above is not None and above.driver == _OPEN_VSWITCH)


def read_uplinks(root: HostRoot) -> frozenset[str]:
    """Return the same from /proc and /sys; of a multipath route for IPv4, the first hop only."""
    found: set[str] = set()
    todo = {*_ipv4(root), *_ipv6(root)}
    while todo:
        found |= todo
        todo = {below for name in todo for below in _lower(root, name)} - found
    return frozenset(found)


def _ipv4(root: HostRoot) -> Iterator[str]:
    for fields in _lines(root, "route"):
        if len(fields) > _V4_MASK and fields[_V4_TARGET] == fields[_V4_MASK] == "00000000":
            yield from _way_out(fields[_V4_NAME], fields[_V4_FLAGS])


def _ipv6(root: HostRoot) -> Iterator[str]:
    for fields in _lines(root, "ipv6_route"):
        if len(fields) > _V6_NAME and (fields[_V6_TARGET], fields[_V6_LENGTH]) == ("0" * 32, "00"):
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
