"""From functions to an inventory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import msgspec

from nodeplug.backend import Omissions
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from nodeplug_sriov_net.candidates import Candidate, Surroundings, candidates
from nodeplug_sriov_net.devices import device_of
from nodeplug_sriov_net.facts import Function, Link, Rdma
from nodeplug_sriov_net.health import Vitals, reason_of
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.nodes import SharedNodes, shared_nodes
from nodeplug_sriov_net.pools import Member, Pools
from nodeplug_sriov_net.reading import devpath_at
from nodeplug_sriov_net.uplinks import read_uplinks, uplinks_among


class Heard(msgspec.Struct, frozen=True):
    """What netlink tells; `links` is None where it is not used."""

    links: Mapping[int, Link] | None = None
    routes: Collection[int] = ()
    ddp: Mapping[str, str] = {}
    vitals: Vitals = Vitals()
    rdma: Mapping[int, Sequence[Rdma]] = {}


_Made = tuple[Member, SharedNodes, str, Device]


class Viewer:
    """Combines sysfs and netlink for one configuration. Blocks; for one thread at a time.

    `left_out` is what the last look could not make sense of.
    """

    def __init__(self, root: HostRoot, pools: Pools, memory: Memory) -> None:
        self._root = root
        self._pools = pools
        self._memory = memory
        self._known: dict[str, tuple[Candidate, Member | None]] = {}
        self._made: dict[str, _Made] = {}
        self.left_out = Omissions()

    @property
    def served(self) -> list[Candidate]:
        """What is in pools, as it was seen last."""
        return [made[0].device for made in self._made.values()]

    def inventory(
        self, functions: Mapping[str, Function], heard: Heard, left_out: Mapping[str, str]
    ) -> Inventory:
        """Return what the pools make of functions; `left_out` is what is none."""
        members = self._members(functions, heard)
        self.left_out |= left_out
        shared = shared_nodes(self._root)
        before, self._made = self._made, {}
        for member in members:
            with self.left_out.alone(member.device.id):
                self._make(member, shared, reason_of(member, heard.vitals), before)
        devices = [made[-1] for made in self._made.values()]
        inventory = Inventory.of(devices, resources=self._pools.names)
        return replace(inventory, left_out=self.left_out)

    def _members(self, functions: Mapping[str, Function], heard: Heard) -> list[Member]:
        found = self.candidates(functions, heard)
        before, self._known = self._known, {}
        for each in found:
            known = before.get(each.id)
            same = known is not None and known[0] is each
            with self.left_out.alone(each.id):
                member = known[1] if known and same else self._pools.member(each, self._memory)
                self._known[each.id] = (each, member)
        return [member for _, member in self._known.values() if member is not None]

    def candidates(self, functions: Mapping[str, Function], heard: Heard) -> list[Candidate]:
        """Return all that could be served, whatever the configuration says."""
        uplinks = read_uplinks(self._root, uplinks_among(heard.routes, heard.links or {}))
        places = (devpath_at(self._root, f"/sys/class/net/{name}") for name in uplinks)
        known = {each for each in places if each}
        around = Surroundings(heard.links, uplinks, known, heard.ddp, heard.rdma)
        self.left_out = Omissions()
        return self._memory.completed(candidates(functions, around, self.left_out))

    def _make(
        self,
        member: Member,
        shared: SharedNodes,
        reason: str,
        before: Mapping[str, _Made],
    ) -> None:
        device_id = member.device.id
        made = before.get(device_id)
        if made is None or made[:3] != (member, shared, reason):
            made = (member, shared, reason, device_of(member, shared, reason))
        self._made[device_id] = made
