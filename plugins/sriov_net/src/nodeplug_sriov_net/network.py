"""The state of the host's network as netlink tells it."""

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

from nodeplug.host.root import HostRoot
from nodeplug_sriov_net import links, netlink
from nodeplug_sriov_net.asked import QUICK_SECONDS, Asked
from nodeplug_sriov_net.changes import addresses_in
from nodeplug_sriov_net.facts import Link
from nodeplug_sriov_net.mark import Mark
from nodeplug_sriov_net.reading import devpath_at
from nodeplug_sriov_net.soft_rdma import RdmaByLink, read_soft_rdma, soft_devices
from nodeplug_sriov_net.uplinks import all_below

_log = logging.getLogger("nodeplug.sriov_net")

_TRIES: Final = 3
# What the kernel may hold for us; the rest is lost, which it tells.
BUFFER: Final = 1 << 20


class Network:
    """Links by index and the links of default routes, kept up to date by events.

    `mark` is told when they change, with the PCI functions that got a new link; with None where
    messages were lost. Of links that are no function's, it is told only if they have to do with a
    default route: pods come and go with links of their own. `refresh` is awaited before links and
    routes are read: it asks the kernel for what events alone do not tell. While the kernel does not
    answer, because somebody holds its rtnl lock, what is known stands.
    """

    def __init__(self, root: HostRoot, mark: Mark) -> None:
        self.links: dict[int, Link] = {}
        self.routes: Collection[int] = ()
        self._root = root
        self._mark = mark
        self._listener = netlink.Listener(netlink.ROUTE, self._receive, buffer=BUFFER)
        self._all_links = Asked("links", links.read_links, mark)
        self._all_routes = Asked("routes", links.read_routes, mark)
        self._speeds = Asked("speeds", self._ask_speeds, mark)
        self._rdma = Asked("RDMA devices", lambda: read_soft_rdma(root, self._soft), mark)
        self._soft: Collection[str] = ()
        self._ports: Collection[int] = ()
        self._states: dict[int, Asked[Mapping[int, str]]] = {}
        self._touched: set[int] = set()
        self._hops: Collection[int] = ()
        self._followed: Collection[int] = ()
        self._below: Collection[int] = ()

    async def open(self) -> None:
        """Listen from the return on. Raises OSError where the kernel refuses."""
        self._listener.open(links.GROUPS)

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()
        for each in self._questions():
            each.close()

    def _questions(self) -> list[Asked[Any]]:
        more = self._states.values()
        return [self._all_links, self._all_routes, self._speeds, self._rdma, *more]

    def follow(self, indexes: Collection[int]) -> None:
        """Tell of these links, the functions' own, and of those that default routes lead to."""
        self._followed = indexes
        self._below = all_below(self.routes, self.links)

    async def refresh(self) -> None:
        """Ask for what may have changed unheard. Raises OSError where the kernel refuses.

        What changes faster than it can be read stays as it is until the next time. Who has no
        answer yet waits for it: nobody knows which links must not be given away.
        """
        for _ in range(_TRIES):
            await self._refresh_links()
            await self._refresh_routes()
            if not (self._all_links.spoilt or self._all_routes.spoilt):
                return

    async def _refresh_links(self) -> None:
        if self._all_links.begins:
            self._touched = set()
        if await self._all_links.get(_patience(self._all_links)) and self._all_links.value:
            found, whole = self._all_links.value
            gone = self.links.keys() - found.keys() - self._touched
            heard = {index: self.links[index] for index in self._touched & self.links.keys()}
            fresh = {i: link for i, link in found.items() if i not in self._touched}
            self.links = {
                **{i: v for i, v in self.links.items() if i not in gone},
                **fresh,
                **heard,
            }
            self._all_links.spoilt |= not whole

    async def _refresh_routes(self) -> None:
        if await self._all_routes.get(_patience(self._all_routes)) and self._all_routes.value:
            found, self._hops, whole = self._all_routes.value
            # A route that came meanwhile is asked for once more; until then, both are guarded.
            self.routes = found if not self._all_routes.spoilt else found | {*self.routes}
            self._all_routes.spoilt |= not whole

    async def states(self, index: int) -> Mapping[int, str]:
        """Return how the links of a physical function's functions are set, by their index.

        From now on, changes of that are told too.
        """
        asked = self._states.get(index)
        if asked is None:
            ask = partial(links.read_states, index)
            asked = self._states[index] = Asked(f"link {index}", ask, self._mark)
        await asked.get()
        return asked.value or {}

    async def speeds(self, ports: Collection[int]) -> Mapping[int, int]:
        """Return the speeds of links in Mbit/s, where they are known."""
        if self._ports != ports:
            self._ports, self._speeds.spoilt = ports, True
        with suppress(OSError):
            await self._speeds.get()
        return self._speeds.value or {}

    async def soft_rdma(self) -> RdmaByLink:
        """Return the RDMA devices that lie upon links, by the index of these."""
        names = soft_devices(self._root)
        if self._soft != names:
            self._soft, self._rdma.spoilt = names, True
        if not names:
            return {}
        with suppress(OSError):
            await self._rdma.get()
        return self._rdma.value or {}

    def _ask_speeds(self) -> Mapping[int, int]:
        known = dict(self.links)
        return links.read_speeds((i, known[i].name) for i in self._ports if i in known)

    def _receive(self, message: netlink.Message | None) -> None:
        """Take a message; None stands for those that were lost."""
        if message is None:
            _log.warning("netlink messages lost")
            for each in self._questions():
                each.spoilt = True
            self._mark(None)
        elif message.kind in {links.NEWLINK, links.DELLINK}:
            self._take_link(message)
        elif message.kind in {links.NEWROUTE, links.DELROUTE}:
            self._take_route(message)
        elif message.kind in {links.NEWNEXTHOP, links.DELNEXTHOP}:
            self._take_hop(message)

    def _take_route(self, message: netlink.Message) -> None:
        if not links.is_default(message):
            return
        if message.kind == links.NEWROUTE:
            self.routes = {*self.routes, *links.route_links(message)}
        self._all_routes.spoilt = True
        self._mark(())

    def _take_hop(self, message: netlink.Message) -> None:
        # Of a route whose next hop is another now the kernel says nothing.
        if links.nexthop_of(message)[0] in self._hops:
            self._all_routes.spoilt = True
            self._mark(())

    def _take_link(self, message: netlink.Message) -> None:
        link = links.link_of(message)
        if link is None:
            return
        self._touched.add(link.index)
        before = self.links.pop(link.index, None)
        if message.kind == links.NEWLINK:
            self.links[link.index] = link
        # The kernel drops the IPv4 routes of a link that goes down without a word.
        self._all_routes.spoilt |= link.index in self.routes
        # How functions are set stands in no event, but there is one of their physical function.
        asked = self._states.get(link.index)
        if asked is not None:
            asked.spoilt = True
        now = self.links.get(link.index)
        is_new = before is None or before.carrier != link.carrier
        self._speeds.spoilt |= is_new and link.index in self._ports
        functions = self._functions_of(link) if is_new else ()
        if functions or asked is not None or (before != now and self._matters(before, now)):
            self._mark(functions)

    def _matters(self, before: Link | None, now: Link | None) -> bool:
        indexes = {i for each in (before, now) if each for i in (each.index, each.master)}
        lower = {each.lower for each in (before, now) if each}
        return not (indexes | lower).isdisjoint({*self._followed, *self._below} - {0})

    def _functions_of(self, link: Link) -> Collection[str]:
        return addresses_in(devpath_at(self._root, f"/sys/class/net/{link.name}"))


def _patience(asked: Asked[links.Links] | Asked[links.Routes]) -> float | None:
    return None if asked.value is None else QUICK_SECONDS
