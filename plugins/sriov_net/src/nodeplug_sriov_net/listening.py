"""What the kernel tells over netlink, where it is used, ready to be combined with sysfs."""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from math import inf
from typing import TYPE_CHECKING

import msgspec

from nodeplug.host.calls import call
from nodeplug.host.fallbacks import fall_back, forget
from nodeplug.host.root import HostRoot
from nodeplug_sriov_net.candidates import main_link
from nodeplug_sriov_net.facts import Function, Link
from nodeplug_sriov_net.health import Vitals
from nodeplug_sriov_net.mark import Mark
from nodeplug_sriov_net.settings import SriovNetSettings
from nodeplug_sriov_net.view import Heard

if TYPE_CHECKING:
    from nodeplug_sriov_net.devlink import Devlink
    from nodeplug_sriov_net.network import Network

_NETLINK, _DEVLINK = "netlink", "devlink"


class Ears:
    """Asks netlink for what a configuration needs. Made by `listen`."""

    def __init__(
        self,
        settings: SriovNetSettings,
        network: "Network | None" = None,
        devlink: "Devlink | None" = None,
    ) -> None:
        self._wants_rdma = any(s.is_rdma for p in settings.pools for s in p.selectors)
        self._network = network
        self._devlink = devlink
        self._wants_states = any(pool.health.link_state for pool in settings.pools)
        self._wants_packages = any(s.ddp_profiles for p in settings.pools for s in p.selectors)

    @property
    def hears_links(self) -> bool:
        """Whether links and routes are heard, so that device events of links need not be."""
        return self._network is not None

    async def hear(self, functions: Collection[Function]) -> Heard:
        """Return what is known now. Raises OSError where the kernel refuses."""
        if self._network is None:
            return Heard()
        await self._network.refresh()
        self._network.follow({link.index for each in functions for link in each.all_links})
        ports = {link.index for f in functions if not f.physfn for link in f.part.links}
        vitals = Vitals(states=await self._states(functions), failed=await self._failed())
        return Heard(
            links=_with_speeds(self._network.links, await self._network.speeds(ports)),
            routes=self._network.routes,
            ddp=await self._packages(functions),
            vitals=vitals,
            rdma=await self._network.soft_rdma() if self._wants_rdma else {},
        )

    async def _failed(self) -> Mapping[str, Collection[str]]:
        try:
            return await self._devlink.failed() if self._devlink else {}
        except OSError as error:  # a kernel before 5.1
            self._do_without_devlink(error)
            return {}

    async def _packages(self, functions: Collection[Function]) -> Mapping[str, str]:
        if self._devlink is None or not self._wants_packages:
            return {}
        try:
            return await self._devlink.packages({each.address for each in functions})
        except OSError as error:  # likewise
            self._do_without_devlink(error)
            return {}

    def _do_without_devlink(self, error: OSError) -> None:
        self._devlink = None
        fall_back(_DEVLINK, "devlink unavailable", str(error))

    async def _states(self, functions: Collection[Function]) -> dict[tuple[str, int], str]:
        states: dict[tuple[str, int], str] = {}
        for function in functions if self._wants_states else ():
            link = main_link(function.part.links) if function.virtual else None
            if self._network and link and link.index in self._network.links:
                with suppress(OSError):  # it went while it was asked for
                    found = await self._network.states(link.index)
                    states |= {(function.address, index): s for index, s in found.items()}
        return states


@asynccontextmanager
async def listen(root: HostRoot, settings: SriovNetSettings, mark: Mark) -> AsyncIterator[Ears]:
    """Listen to netlink, entry to exit, if the setting says so.

    Where the kernel refuses, that is a fallback: /sys and /proc are what remains.
    """
    wanted = settings.netlink
    if wanted == "off" or (wanted == "auto" and str(root.root) != "/"):
        yield Ears(settings)
        return
    network = await _opened(root, mark)
    devlink = await _opened_devlink(settings, mark) if network else None
    try:
        yield Ears(settings, network, devlink)
    finally:
        for each in (network, devlink):
            if each:
                each.close()
        for what in (_NETLINK, _DEVLINK):
            forget(what)


async def _opened(root: HostRoot, mark: Mark) -> "Network | None":
    network = (await call(_load, timeout=inf))(root, mark)
    try:
        await network.open()
    except OSError as error:
        fall_back(_NETLINK, "netlink unavailable", str(error))
        network.close()
        return None
    return network


async def _opened_devlink(settings: SriovNetSettings, mark: Mark) -> "Devlink | None":
    wanted = any(pool.health.reporters for pool in settings.pools)
    if not wanted and not any(s.ddp_profiles for p in settings.pools for s in p.selectors):
        return None
    from nodeplug_sriov_net.devlink import Devlink  # noqa: PLC0415 - loads pyroute2

    devlink = Devlink(mark)
    try:
        await devlink.open()
    except OSError as error:
        fall_back(_DEVLINK, "devlink unavailable", str(error))
        devlink.close()
        return None
    return devlink


def _with_speeds(links: Mapping[int, Link], speeds: Mapping[int, int]) -> dict[int, Link]:
    known = {i: msgspec.structs.replace(links[i], speed=speeds[i]) for i in speeds if i in links}
    return {**links, **known}


def _load() -> "type[Network]":
    from nodeplug_sriov_net.network import Network  # noqa: PLC0415 - loads pyroute2

    return Network
