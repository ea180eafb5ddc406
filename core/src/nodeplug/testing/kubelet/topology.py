"""NUMA alignment: the part of the Topology Manager that device plugins meet."""

import itertools
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api

Policy = Literal["none", "best-effort", "restricted", "single-numa-node"]
Table = Mapping[str, api.Device]
Mask = frozenset[int]
# How the kubelet itself marks a device without nodes; a plugin's -1 is taken for that (R35).
NO_NODE = -1


@dataclass(frozen=True, slots=True)
class Topology:
    """The machine's NUMA nodes and the Topology Manager's policy."""

    policy: Policy = "none"
    nodes: tuple[int, ...] = (0, 1)


class TopologyError(Exception):
    """No set of NUMA nodes satisfies the policy."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one container asks of one resource: so many of the free ids and those to reuse.

    Reusable devices are all within the nodes chosen, or the nodes are not (R46). With `narrowed`,
    only nodes that hold devices are looked at, as since 1.36 (R36).
    """

    table: Table
    free: AbstractSet[str]
    reusable: AbstractSet[str]
    count: int
    narrowed: bool = True

    def hints(self, nodes: Collection[int]) -> "list[_Hint]":
        """Return the sets of nodes that hold enough, the narrowest conceivable preferred.

        There is one without nodes that says so where it makes no difference, or nothing does.
        """
        if not has_topology(self.table):
            return [_Hint(None, preferred=True)]
        return self._masks(nodes) or [_Hint(None, preferred=False)]

    def _masks(self, nodes: Collection[int]) -> "list[_Hint]":
        if self.narrowed:
            inhabited = {n for d in self.table.values() for n in _all_nodes(d)} & {*nodes}
            nodes = inhabited or nodes
        conceivable = [len(m) for m in _masks(nodes) if self._within(m, self.table) >= self.count]
        narrowest = min(conceivable, default=len(nodes))
        return [_Hint(m, len(m) == narrowest) for m in _masks(nodes) if self._is_met_by(m)]

    def _is_met_by(self, mask: Mask) -> bool:
        tied = {i for i in self.reusable if i in self.table and self.table[i].HasField("topology")}
        inside = self._within(mask, tied)
        return inside == len(tied) and inside + self._within(mask, self.free) >= self.count

    def _within(self, mask: Mask, ids: Iterable[str]) -> int:
        return sum(1 for i in ids if i in self.table and mask & _all_nodes(self.table[i]))


@dataclass(frozen=True, slots=True)
class _Hint:
    mask: Mask | None
    preferred: bool


def _masks(nodes: Collection[int]) -> list[Mask]:
    sizes = range(1, len(nodes) + 1)
    return [frozenset(m) for n in sizes for m in itertools.combinations(sorted(nodes), n)]


def _all_nodes(device: api.Device) -> Mask:
    return frozenset(node.ID for node in device.topology.nodes)


def numa_of(device: api.Device) -> tuple[int, ...]:
    """Return the NUMA nodes of a device as its plugin gave them, those that are none included."""
    return tuple(node.ID for node in device.topology.nodes)


def has_topology(table: Table) -> bool:
    """Whether one device of a resource makes all of it topology-aware (R35)."""
    return any(device.topology.nodes for device in table.values())


def choose_affinity(topology: Topology, demands: Iterable[Demand]) -> Mask | None:
    """Return the nodes that devices should come from; None where it makes no difference.

    Raises TopologyError where the policy demands what no set of nodes has.
    """
    if topology.policy == "none":
        return None
    hints = [demand.hints(topology.nodes) for demand in demands] or [[_Hint(None, preferred=True)]]
    if topology.policy == "single-numa-node":
        hints = [[h for h in of if h.preferred and len(h.mask or "1") == 1] for of in hints]
    best = _merge(hints, frozenset(topology.nodes))
    if topology.policy != "best-effort" and not best.preferred:
        raise TopologyError("Resources cannot be allocated with Topology locality")
    if topology.policy == "single-numa-node" and best.mask == frozenset(topology.nodes):
        return None  # One node is the whole machine.
    return best.mask


def _merge(hints: list[list[_Hint]], everywhere: Mask) -> _Hint:
    widths = [[len(h.mask) for h in of if h.mask is not None] for of in hints]
    aim = max(min(of, default=0) for of in widths)
    joined = [_join(choice, everywhere) for choice in itertools.product(*hints)]
    nowhere = _Hint(everywhere, preferred=False)
    return min((h for h in joined if h.mask), key=lambda h: _rank(h, aim), default=nowhere)


def _join(hints: tuple[_Hint, ...], everywhere: Mask) -> _Hint:
    masks = [hint.mask for hint in hints if hint.mask is not None]
    agreed = all(hint.preferred for hint in hints) and len(set(masks)) <= 1
    return _Hint(everywhere.intersection(*masks), agreed)


def _rank(hint: _Hint, aim: int) -> tuple[bool, int, int, int]:
    # Preferred before others, and narrow; of the others those as wide as the widest demand.
    mask = hint.mask or frozenset()
    width, number = len(mask), sum(1 << node for node in mask)
    if hint.preferred:
        return False, 0, width, number
    return True, 1 if width < aim else 2 if width > aim else 0, abs(width - aim), number


def split_by_affinity(
    table: Table, available: AbstractSet[str], affinity: Mask | None
) -> tuple[set[str], set[str], set[str]]:
    """Return the available ids as those within the affinity, those outside, those without."""
    if affinity is None or not has_topology(table):
        return set(), set(), set(available)
    without = {i for i in available if _all_nodes(table[i]) <= {NO_NODE}}
    aligned = {i for i in available if _all_nodes(table[i]) & affinity}
    return aligned, set(available) - aligned - without, without
