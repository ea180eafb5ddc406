"""The Topology Manager's choice among the nodes that several resources would like."""

import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import Topology
from nodeplug.testing.kubelet.topology import (
    Demand,
    Table,
    TopologyError,
    choose_affinity,
    split_by_affinity,
)

WIDE, NARROW = frozenset({0, 1}), frozenset({0})


def table(*nodes: int | None) -> Table:
    """Return devices "0", "1" and so on, each on its node or without one."""
    return {
        str(number): api.Device(ID=str(number), health="Healthy", topology=_topology(node))
        for number, node in enumerate(nodes)
    }


def _topology(node: int | None) -> api.TopologyInfo | None:
    return None if node is None else api.TopologyInfo(nodes=[api.NUMANode(ID=node)])


def want(count: int, devices: Table, *, narrowed: bool = True) -> Demand:
    return Demand(devices, devices.keys(), frozenset(), count, narrowed)


@pytest.mark.parametrize(("narrowed", "chosen"), [(False, WIDE), (True, NARROW)])
def test_of_nodes_not_preferred_those_as_wide_as_the_widest_wish_are_chosen(
    narrowed: bool,  # noqa: FBT001 - a parameter of the test
    chosen: frozenset[int],
) -> None:
    """One would like two nodes, the other one; since 1.36 none without devices is named (R36)."""
    wishes = [(2, table(0, 1, 2, 3)), (1, table(0))]
    demands = [want(count, devices, narrowed=narrowed) for count, devices in wishes]
    assert choose_affinity(Topology("best-effort", (0, 1, 2, 3)), demands) == chosen


def test_different_wishes_are_never_preferred() -> None:
    """Even if each gets the narrowest that it could have."""
    demands = [want(1, table(0)), want(2, table(0, 1))]
    with pytest.raises(TopologyError):
        choose_affinity(Topology("restricted"), demands)


def test_equal_wishes_are_granted() -> None:
    """The only node that has enough of both."""
    demands = [want(1, table(0, 1)), want(2, table(0, 1, 1))]
    assert choose_affinity(Topology("restricted"), demands) == frozenset({1})


def test_a_machine_of_one_node_has_nothing_to_align() -> None:
    """Under the strictest policy, as if there were none."""
    assert choose_affinity(Topology("single-numa-node", (0,)), [want(1, table(0))]) is None


def test_a_width_that_only_busy_devices_make_possible_is_still_the_preferred_one() -> None:
    """R35: so `restricted` refuses what free devices could give on two nodes."""
    devices = table(0, 0, 1)
    demand = Demand(devices, {"1", "2"}, frozenset(), 2)
    with pytest.raises(TopologyError):
        choose_affinity(Topology("restricted"), [demand])


def test_devices_are_split_into_aligned_others_and_those_without_a_node() -> None:
    """R49: the order in which they are taken; -1 is no node."""
    devices = table(0, 1, None, -1)
    split = split_by_affinity(devices, devices.keys(), frozenset({0}))
    assert split == ({"0"}, {"1"}, {"2", "3"})
