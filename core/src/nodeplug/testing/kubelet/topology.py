"""NUMA alignment: the part of the Topology Manager that device plugins meet."""

import itertools
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api

Policy = Literal["none", "best-effort", "restricted", "single-numa-node"]
Table = Mapping[str, api.Device]


@dataclass(frozen=True, slots=True)
class Topology:
    """The machine's NUMA nodes and the Topology Manager's policy."""

    policy: Policy = "none"
    nodes: tuple[int, ...] = (0, 1)


class TopologyError(Exception):
    """No set of NUMA nodes satisfies the policy."""


def numa_of(device: api.Device, known: Collection[int]) -> tuple[int, ...]:
    """Return the NUMA nodes of a device as far as the machine has them (R35)."""
    return tuple(node.ID for node in device.topology.nodes if node.ID in known)


def has_topology(table: Table) -> bool:
    """Whether one device of a resource makes all of it topology-aware (R35)."""
    return any(device.HasField("topology") for device in table.values())


def choose_affinity(
    policy: Policy, wanted: Iterable[tuple[Table, AbstractSet[str], int]], nodes: Collection[int]
) -> frozenset[int] | None:
    """Return the narrowest set of nodes that holds what every resource needs, or None.

    `wanted` has for each resource its device table, the ids that could be given, and the number
    asked for. Raises TopologyError where the policy demands what no set of nodes has.
    """
    aware = [(table, ids, count) for table, ids, count in wanted if has_topology(table)]
    if policy == "none" or not aware:
        return None
    for size in range(1, len(nodes) + 1):
        for mask in itertools.combinations(sorted(nodes), size):
            if all(_fits(table, ids, count, mask, nodes) for table, ids, count in aware):
                return _judge(policy, frozenset(mask), aware, nodes)
    if policy in {"restricted", "single-numa-node"}:
        raise TopologyError("Resources cannot be allocated with Topology locality")
    return None


def _judge(
    policy: Policy,
    mask: frozenset[int],
    aware: list[tuple[Table, AbstractSet[str], int]],
    nodes: Collection[int],
) -> frozenset[int]:
    best = max(_narrowest(table, count, nodes) for table, _, count in aware)
    single = policy == "single-numa-node" and len(mask) > 1
    if single or (policy == "restricted" and len(mask) > best):
        raise TopologyError("Resources cannot be allocated with Topology locality")
    return mask


def _narrowest(table: Table, count: int, nodes: Collection[int]) -> int:
    for size in range(1, len(nodes) + 1):
        for mask in itertools.combinations(sorted(nodes), size):
            if _fits(table, table.keys(), count, mask, nodes):
                return size
    return len(nodes)


def _fits(
    table: Table, ids: AbstractSet[str], count: int, mask: Collection[int], nodes: Collection[int]
) -> bool:
    inside = sum(1 for i in ids if i in table and set(numa_of(table[i], nodes)) & set(mask))
    return inside >= count


def split_by_affinity(
    table: Table,
    available: AbstractSet[str],
    affinity: frozenset[int] | None,
    nodes: Collection[int],
) -> tuple[set[str], set[str], set[str]]:
    """Return the available ids as those within the affinity, those outside, those without."""
    if affinity is None or not any(numa_of(table[i], nodes) for i in available):
        return set(), set(), set(available)
    aligned = {i for i in available if set(numa_of(table[i], nodes)) & affinity}
    without = {i for i in available if not numa_of(table[i], nodes)}
    return aligned, set(available) - aligned - without, without
