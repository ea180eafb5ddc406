"""The state of the host's network as netlink tells it."""

import logging
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from nodeplug.host.root import HostRoot
from nodeplug_sriov_net import netlink
from nodeplug_sriov_net.changes import addresses_in
from nodeplug_sriov_net.conversation import Conversation
from nodeplug_sriov_net.facts import Link
from nodeplug_sriov_net.reading import devpath_at
from nodeplug_sriov_net.uplinks import all_below

_log = logging.getLogger("nodeplug.sriov_net")

_TRIES: Final = 3
# What the kernel may hold for us; the rest is lost, which it tells.
BUFFER: Final = 1 << 20
_FAMILIES: Final = (2, 10)  # AF_INET, AF_INET6


class Network:
    """Links by index and the links of default routes, kept up to date by events.

    `mark` is told when they change, with the PCI functions that got a new link; with None where
    messages were lost. Of links that are no function's, it is told only if they have to do with a
    default route: pods come and go with links of their own. `refresh` is awaited before links and
    routes are read: it asks the kernel for what events alone do not tell.
    """

    def __init__(
        self,
        root: HostRoot,
        mark: Callable[[Collection[str] | None], None],
    ) -> None:
        self.links: dict[int, Link] = {}
        self.routes: Collection[int] = ()
        self._root = root
        self._mark = mark
        self._socket = netlink.RouteSocket(self._receive, buffer=BUFFER)
        self._stale_links = self._stale_routes = True
        self._conversation = Conversation()
        self._watched: dict[int, dict[int, str]] = {}
        self._seen: set[int] = set()
        self._found: set[int] = set()
        self._followed: Collection[int] = ()
        self._below: Collection[int] = ()
        self._states: dict[int, str] = {}

    async def open(self) -> None:
        """Listen from the return on. Raises OSError where the kernel refuses."""
        await self._socket.open()

    def close(self) -> None:
        """Listen no more."""
        self._socket.shut()

    def follow(self, indexes: Collection[int]) -> None:
        """Tell of these links, the functions' own, and of those that default routes lead to."""
        self._followed = indexes
        self._below = all_below(self.routes, self.links)

    async def refresh(self) -> None:
        """Ask for what may have changed unheard. Raises OSError where the kernel refuses.

        What changes faster than it can be read stays as it is until the next time.
        """
        for _ in range(_TRIES):
            if self._stale_links:
                await self._read_links()
            if self._stale_routes and not self._stale_links:
                await self._read_routes()
            if not (self._stale_links or self._stale_routes):
                return

    async def states(self, index: int) -> Mapping[int, str]:
        """Return how the links of a physical function's functions are set, by their index.

        From now on, changes of that are told too.
        """
        if index not in self._watched:
            self._states = self._watched[index] = {}
            await self._answered(netlink.GETLINK, index=index)
        return self._watched.get(index, self._states)

    async def _read_links(self) -> None:
        self._stale_links, self._seen = False, set()
        if not await self._answered(netlink.GETLINK):
            self._stale_links = True
            return
        for index in self.links.keys() - self._seen:
            del self.links[index]

    async def _read_routes(self) -> None:
        self._stale_routes, self._found = False, set()
        whole = [await self._answered(netlink.GETROUTE, family) for family in _FAMILIES]
        self._stale_routes |= not all(whole)
        self.routes = frozenset(self._found)

    async def _answered(self, kind: int, family: int = 0, *, index: int = 0) -> bool:
        number = self._socket.ask(kind, family, index=index)
        return await self._conversation.answered(number)

    def _receive(self, message: Any) -> None:
        """Take a message; None stands for those that were lost."""
        if message is None:
            self._stale_links = self._stale_routes = True
            self._watched.clear()
            _log.warning("netlink messages lost")
            self._conversation.lost()
            self._mark(None)
        elif netlink.is_answer(self._socket, message):
            if self._conversation.takes(message):
                self._take_answer(message)
        elif message["header"]["type"] in {netlink.NEWLINK, netlink.DELLINK}:
            self._take_link(message)
        else:
            self._stale_routes = True
            self._mark(())

    def _take_answer(self, message: Any) -> None:
        if message["header"]["type"] == netlink.NEWROUTE:
            self._found.update(netlink.route_links(message))
        elif link := netlink.link_of(message):
            self._seen.add(link.index)
            self.links[link.index] = link
            self._states.update(netlink.function_states(message))

    def _take_link(self, message: Any) -> None:
        link = netlink.link_of(message)
        if link is None:
            return
        before = self.links.pop(link.index, None)
        if message["header"]["type"] == netlink.NEWLINK:
            self._seen.add(link.index)
            self.links[link.index] = link
        # The kernel drops the IPv4 routes of a link that goes down without a word.
        self._stale_routes |= link.index in self.routes
        # How functions are set stands in no event, but there is one of their physical function.
        asked = self._watched.pop(link.index, None)
        now = self.links.get(link.index)
        if before is None or before.carrier != link.carrier:  # its speed is in sysfs only
            functions = self._functions_of(link)
        else:
            functions = ()
        if functions or asked is not None or (before != now and self._matters(before, now)):
            self._mark(functions)

    def _matters(self, before: Link | None, now: Link | None) -> bool:
        indexes = {i for each in (before, now) if each for i in (each.index, each.master)}
        lower = {each.lower for each in (before, now) if each}
        return not (indexes | lower).isdisjoint({*self._followed, *self._below} - {0})

    def _functions_of(self, link: Link) -> Collection[str]:
        return addresses_in(devpath_at(self._root, f"/sys/class/net/{link.name}"))
