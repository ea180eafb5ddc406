"""Devices as pools see them: functions and sub-functions with all that selectors ask of them."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from nodeplug.backend import Omissions
from nodeplug_sriov_net.facts import Function, Link, Part, Rdma, SubFunction
from nodeplug_sriov_net.selector_settings import DeviceType

# Kernel, net/core/devlink (devlink_nl_phys_port_name_get): ports of a switch are "p0", those that
# stand for functions "pf0vf3", "pf0sf4"; a prefix "c1" says that the function is another host's.
_UPLINK_PORT: Final = re.compile(r"p\d+(s\d+)?")
_OTHER_PORT: Final = re.compile(r"(c\d+)?pf\d+((vf|sf)\d+)?|(c\d+)?pf\d+hpf")
_NETWORK_CLASS: Final = "02"


class Candidate(msgspec.Struct, frozen=True):
    """A device that pools may select.

    `function` is on PCI; a sub-function is part of it. `owner` is the physical function, or None
    where it is none's. `index` is the number among its owner's functions.
    """

    id: str
    function: Function
    part: Part
    owner: Function | None = None
    sub: SubFunction | None = None
    index: int | None = None
    links: tuple[Link, ...] = ()
    owner_link: Link | None = None
    representor: str = ""
    uplink: bool = False
    ddp: str = ""

    @property
    def device_types(self) -> tuple[DeviceType, ...]:
        """The kinds of pools that it can be in."""
        if self.sub is not None:
            return ("auxNetDevice",)
        network = self.function.pci.device_class.startswith(_NETWORK_CLASS)
        return ("netDevice",) if network else ("accelerator",)

    @property
    def driver(self) -> str:
        """The driver bound to it, empty where there is none."""
        return (self.function.pci.driver or "") if self.sub is None else self.sub.driver

    @property
    def speed(self) -> int:
        """The speed of its link in Mbit/s, or else of its physical function's; 0 if unknown."""
        return max((each.speed for each in (self.link, self.owner_link) if each), default=0)

    @property
    def vdpa_driver(self) -> str:
        """The kind of driver that its first vDPA device is bound to, if it has one."""
        return self.part.vdpa[0].driver if self.part.vdpa else ""

    @property
    def link(self) -> Link | None:
        """Its own network device, or else its physical function's."""
        return main_link(self.links) or self.owner_link


class Surroundings(msgspec.Struct, frozen=True):
    """What is known besides functions.

    Network devices by index, the names of those with default routes, and where sysfs has these:
    some are deeper below their function than the kernel's drivers for network adapters put them.
    RDMA devices that lie upon network devices, by the index of these.
    """

    links: Mapping[int, Link] | None = None
    uplinks: Collection[str] = ()
    uplink_places: Collection[str] = ()
    ddp: Mapping[str, str] = {}
    rdma: Mapping[int, Sequence[Rdma]] = {}


def candidates(
    functions: Mapping[str, Function], around: Surroundings, left_out: Omissions | None = None
) -> Iterator[Candidate]:
    """Yield every device of the host that some pool could serve, less what is odd."""
    left_out = Omissions() if left_out is None else left_out
    indexes = {
        address: index for each in functions.values() for index, address in each.virtual.items()
    }
    ports = {each.address: _current(each.part.links, around) for each in functions.values()}
    for function in functions.values():
        owner = functions.get(function.physfn)
        with left_out.alone(function.address):
            yield _function(function, owner, indexes.get(function.address), ports, around)
        for sub in function.subs:
            with left_out.alone(sub.name):
                yield _sub(function, sub, ports, around)


def main_link(links: Sequence[Link]) -> Link | None:
    """Return the network device of a physical function itself, among those of its switch.

    In switchdev mode the ports of its functions are beside it, and may come first.
    """
    own = [link for link in links if not _OTHER_PORT.fullmatch(link.port)]
    uplinks = [link for link in own if _UPLINK_PORT.fullmatch(link.port)]
    return next(iter(uplinks or own or links), None)


def _function(
    function: Function,
    owner: Function | None,
    index: int | None,
    ports: Mapping[str, Sequence[Link]],
    around: Surroundings,
) -> Candidate:
    links = tuple(ports[function.address])
    above = ports[owner.address] if owner else ()
    return Candidate(
        id=function.address,
        function=function,
        part=_with_soft_rdma(function.part, links, around),
        owner=owner,
        index=index,
        links=links,
        owner_link=main_link(above),
        representor=_representor(above, f"vf{index}"),
        uplink=_is_uplink(function.pci.devpath, links, around),
        ddp=around.ddp.get(function.address, around.ddp.get(function.physfn, "")),
    )


def _sub(
    function: Function,
    sub: SubFunction,
    ports: Mapping[str, Sequence[Link]],
    around: Surroundings,
) -> Candidate:
    links = tuple(_current(sub.part.links, around))
    above = ports[function.address]
    return Candidate(
        id=sub.name,
        function=function,
        part=_with_soft_rdma(sub.part, links, around),
        owner=function,
        sub=sub,
        index=sub.number,
        links=links,
        owner_link=main_link(above),
        representor=_representor(above, f"sf{sub.number}"),
        uplink=_is_uplink(f"{function.pci.devpath}/{sub.name}", links, around),
    )


def _with_soft_rdma(part: Part, links: Sequence[Link], around: Surroundings) -> Part:
    """Add the RDMA devices that lie upon the network device itself."""
    own = main_link(links)
    found = tuple(around.rdma.get(own.index, ())) if own else ()
    return msgspec.structs.replace(part, rdma=part.rdma + found, capable=True) if found else part


def _is_uplink(place: str, links: Sequence[Link], around: Surroundings) -> bool:
    below = any(each.startswith(f"{place}/") for each in around.uplink_places)
    return below or any(link.name in around.uplinks for link in links)


def _representor(links: Sequence[Link], port: str) -> str:
    """Return the network device that stands for a function on its switch."""
    return next((link.name for link in links if re.fullmatch(rf"pf\d+{port}", link.port)), "")


def _current(links: Sequence[Link], around: Surroundings) -> Sequence[Link]:
    """Return the network devices as netlink tells them, where it is heard."""
    if around.links is None:
        return links
    return [now for link in links if (now := around.links.get(link.index)) is not None]
