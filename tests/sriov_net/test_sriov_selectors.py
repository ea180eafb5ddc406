"""Every selector, with what it chooses and what not."""

from typing import Any

import pytest

from nodeplug_sriov_net.adapters import (
    address_of,
    dpu,
    function_place,
    intel_adapter,
    mellanox_adapter,
)
from support.sriov_host import POOL, FakeHost

I0, I1, I2 = (address_of(0, index) for index in range(3))
M0, M1 = (address_of(1, index) for index in range(2))
INTEL, MELLANOX = {I0, I1, I2}, {M0, M1}
ALL = INTEL | MELLANOX


@pytest.fixture
def node(fake: FakeHost) -> FakeHost:
    """Give a host with an adapter of Intel, at 100 Gbit/s, and one of Mellanox, at 200."""
    intel_adapter(fake.tree, 0, functions=3)
    mellanox_adapter(fake.tree, 1, functions=2)
    fake.tree.driver(function_place(0, 2), "vfio-pci")
    fake.tree.put(function_place(0, 1), acpi_index=11)
    return fake


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({}, ALL),
        ({"vendors": ["8086"]}, INTEL),
        ({"vendors": ["0X15B3"]}, MELLANOX),
        ({"vendors": ["8086", "15b3"]}, ALL),
        ({"vendors": ["!8086"]}, MELLANOX),
        ({"devices": ["101E"]}, MELLANOX),
        ({"devices": ["18*"]}, INTEL),
        ({"vendors": ["8086"], "devices": ["101e"]}, set()),
        ({"drivers": ["iavf", "mlx5_core"]}, {I0, I1, *MELLANOX}),
        ({"drivers": ["vfio*"]}, {I2}),
        ({"drivers": ["VFIO-pci"]}, set()),
        ({"pciAddresses": [I1]}, {I1}),
        ({"pciAddresses": [I1.removeprefix("0000:").upper()]}, {I1}),
        ({"pciAddresses": ["0000:3b:*", f"!{I1}"]}, {I0, I2}),
        ({"acpiIndexes": ["11"]}, {I1}),
        ({"acpiIndexes": ["011"]}, set()),
        ({"pfNames": ["ENS1"]}, INTEL),
        ({"pfNames": ["ens1#0"]}, {I0}),
        ({"pfNames": ["ens1#0-1"]}, {I0, I1}),
        ({"pfNames": ["ens1#0,2"]}, {I0, I2}),
        ({"pfNames": ["ens1#0", "ens1#1"]}, {I0, I1}),
        ({"pfNames": ["ens*"]}, ALL),
        ({"pfNames": ["!ens1#1-7"]}, {I0, *MELLANOX}),
        ({"pfNames": ["ens2f0np0"]}, MELLANOX),
        ({"rootDevices": [address_of(0)]}, INTEL),
        ({"rootDevices": [f"{address_of(0).upper()}#2"]}, {I2}),
        ({"linkTypes": ["ether"]}, ALL),
        ({"linkTypes": ["infiniband"]}, set()),
        ({"isRdma": True}, MELLANOX),
        ({"netdevs": ["ens1v0", "ens2f0v*"]}, {I0, *MELLANOX}),
        ({"numaNodes": [1]}, MELLANOX),
        ({"numaNodes": [0, 1]}, ALL),
        ({"minSpeedMbps": 200_000}, MELLANOX),
        ({"needVhostNet": True}, ALL),
        ({"vdpaType": "vhost"}, set()),
        ({"ddpProfiles": ["none"]}, set()),
    ],
    ids=lambda value: str(value if isinstance(value, dict) else sorted(value)),
)
async def test_a_selector_chooses(
    node: FakeHost, selector: dict[str, Any], chosen: set[str]
) -> None:
    """Lists mean any of their entries, keys mean all of them."""
    assert {*await node.chosen(**selector)} == chosen


async def test_a_hardware_address_chooses_in_any_case(node: FakeHost) -> None:
    """As `ip link` prints it, or as a label has it."""
    found = (await node.devices({"selectors": [{"netdevs": ["ens1v1"]}]}))[I1]
    mac = str(found.attributes["mac"])
    assert await node.chosen(macs=[mac.upper()]) == [I1]


@pytest.mark.parametrize(("key", "chosen"), [("0x1", [M0]), ("8001", [M1]), ("0x0001", [M0])])
async def test_a_partition_key_chooses_on_infiniband(
    node: FakeHost, key: str, chosen: list[str]
) -> None:
    """However many zeros it is written with."""
    for index, text in enumerate(("0x0001", "0x8001")):
        place = function_place(1, index)
        node.tree.put(f"{place}/infiniband/mlx5_1_{index + 1}/ports/1/pkeys", **{"0": text})
        node.tree.put(f"{place}/net/ens2f0v{index}", type=32)
    assert await node.chosen(pKeys=[key]) == chosen


async def test_a_partition_key_means_nothing_on_ethernet(node: FakeHost) -> None:
    """Its ports have one all the same."""
    assert not await node.chosen(pKeys=["0xffff"])


async def test_a_function_without_link_has_its_adapters_link_type(node: FakeHost) -> None:
    """A function for user space has no network device."""
    assert I2 in await node.chosen(linkTypes=["ether"])


async def test_the_first_pool_that_selects_a_device_has_it(node: FakeHost) -> None:
    """And of a pool, any selector."""
    found = await node.devices(
        {"name": "a.b/one", "selectors": [{"pfNames": ["ens1#0"]}, {"vendors": ["15b3"]}]},
        {"selectors": [{}]},
    )
    assert {i for i, device in found.items() if device.resource == POOL} == {I1, I2}


async def test_accelerators_have_selectors_of_their_own(fake: FakeHost) -> None:
    """And are no network devices."""
    for number in range(2):
        place = fake.tree.function(
            "/devices/pci0000:50", f"0000:50:0{number}.0", "8086:5d0c:120000"
        )
        fake.tree.put(place, acpi_index=number)
        fake.tree.driver(place, "vfio-pci")
    found = await fake.devices(
        {"name": "a.b/net"},
        {"deviceType": "accelerator", "selectors": [{"acpiIndexes": ["1"]}]},
    )
    assert [(device.id, device.resource) for device in found.values()] == [("0000:50:01.0", POOL)]


async def test_an_accelerator_with_virtual_functions_is_served_itself(fake: FakeHost) -> None:
    """Unlike a network adapter, it can be used beside them."""
    place = fake.tree.function("/devices/pci0000:50", "0000:50:00.0", "8086:0d5c:120000")
    fake.tree.put(place, sriov_numvfs=2)
    assert [*await fake.devices({"deviceType": "accelerator"})] == ["0000:50:00.0"]


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ({}, {2, 3, 4}),
        ({"pfNames": ["p0#11-12"]}, {3, 4}),
        ({"rootDevices": [f"{address_of(0)}#10"]}, {2}),
        ({"devices": ["a2d6"], "isRdma": True}, {2, 3, 4}),
        ({"netdevs": ["*s12"]}, {4}),
        ({"drivers": ["mlx5_core"]}, {2, 3, 4}),
        ({"drivers": ["vfio-pci"]}, set()),
    ],
    ids=str,
)
async def test_sub_functions_are_chosen_by_their_parent_and_number(
    fake: FakeHost, selector: dict[str, Any], chosen: set[int]
) -> None:
    """The number is the one that the administrator has given."""
    dpu(fake.tree, 0, subs=3)
    pool = {"deviceType": "auxNetDevice", "selectors": [{"auxTypes": ["sf"], **selector}]}
    assert {*await fake.devices(pool)} == {f"mlx5_core.sf.{number}" for number in chosen}


async def test_devices_tell_where_they_are(node: FakeHost) -> None:
    """So that `packed` means on one adapter, then behind one switch, then on one NUMA node."""
    found = await node.devices({})
    place = (found[M0].location, found[M0].parent, found[M0].numa_nodes)
    assert place == (("pci0000:5a", "0000:5a:00.0"), address_of(1), (1,))


async def test_topology_can_be_left_out(node: FakeHost) -> None:
    """Hosts with many NUMA nodes are slow to place pods otherwise."""
    found = await node.devices({"excludeTopology": True})
    assert {device.numa_nodes for device in found.values()} == {()}
