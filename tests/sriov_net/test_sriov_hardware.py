"""Claims about which functions exclude each other, and what VFIO refuses."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.hardware import EXCLUSIVE, PART, SHARED
from nodeplug_sriov_net.adapters import (
    address_of,
    dpu,
    function_place,
    intel_adapter,
    mellanox_adapter,
)
from nodeplug_sriov_net.findings import findings
from nodeplug_sriov_net.pools import NO_CDEV, NO_GROUP
from nodeplug_sriov_net.simulator import LargeSimulator, SriovNetSimulator
from support.clashes import clash, clashes
from support.sriov_host import FakeHost, discover, reasons, settings, until, watching

PF, VF0, VF1 = address_of(0), address_of(0, 0), address_of(0, 1)
FIRST, SECOND = function_place(0, 0), function_place(0, 1)
SOUND = "0000:3b:1f.3"
USER = {"selectors": [{"drivers": ["vfio-pci"]}]}
SUBS = {"deviceType": "auxNetDevice", "selectors": [{"auxTypes": ["sf"]}]}


async def device(fake: FakeHost, device_id: str, **pool: Any) -> Device:
    return (await fake.devices(pool))[device_id]


def two_of_one_group(fake: FakeHost, driver: str = "vfio-pci") -> None:
    """Make two functions that VFIO gives away only together."""
    intel_adapter(fake.tree, 0, functions=2, driver=driver)
    for place in (FIRST, SECOND):
        fake.tree.iommu_group(place, 7)


def sound(fake: FakeHost, driver: str) -> str:
    """Add a function of another class to the group."""
    place = fake.tree.function("/devices/pci0000:3a", SOUND, "8086:a348:040300")
    fake.tree.driver(place, driver)
    fake.tree.iommu_group(place, 7)
    return place


async def test_a_virtual_function_is_a_part_of_its_adapter(fake: FakeHost) -> None:
    """It has no node that would tell."""
    fake.one_function("iavf")
    found = await device(fake, VF0)
    assert found.hardware == {f"pci {VF0}": EXCLUSIVE, f"pci {PF}": PART}


async def test_an_adapter_excludes_its_functions(fake: FakeHost) -> None:
    """A container that has had it since before they were made has them, too."""
    intel_adapter(fake.tree, 0, functions=0)
    adapter = await device(fake, PF)
    assert adapter.hardware == {f"pci {PF}": EXCLUSIVE}
    intel_adapter(fake.tree, 0, functions=2)
    functions = await fake.devices({})
    assert all(clash(adapter, each) for each in functions.values())
    assert clashes(functions.values()) == set()


async def test_sub_functions_are_parts_of_their_function(fake: FakeHost) -> None:
    """By the names of their auxiliary devices."""
    dpu(fake.tree, 0, subs=2)
    found = await fake.devices({**SUBS, "selectors": [{"auxTypes": ["sf"], "isRdma": True}]})
    own = found["mlx5_core.sf.2"].hardware
    shared = {"path /dev/infiniband/rdma_cm": SHARED}
    assert own == {**shared, f"pci {PF}": PART, "sf mlx5_core.sf.2": EXCLUSIVE}
    assert clashes(found.values()) == set()
    assert clash(found["mlx5_core.sf.2"], await device(fake, PF))


async def test_control_nodes_are_shared(fake: FakeHost) -> None:
    """Each function brings them, none is them."""
    mellanox_adapter(fake.tree, 0, functions=2)
    fake.tree.put("/class/misc/vhost-net")
    found = await fake.devices({"selectors": [{"isRdma": True, "needVhostNet": True}]})
    own = {key for key, use in found[VF0].hardware.items() if use == SHARED}
    assert own == {"path /dev/infiniband/rdma_cm", "path /dev/vhost-net", "path /dev/net/tun"}
    assert clashes(found.values()) == set()


@pytest.mark.parametrize("vfio", ["group", "iommufd", "both"])
async def test_functions_of_one_group_exclude_each_other(fake: FakeHost, vfio: str) -> None:
    """Whichever nodes are given: the kernel lets a group have one owner."""
    two_of_one_group(fake)
    for number, place in enumerate((FIRST, SECOND)):
        fake.tree.vfio_node(place, f"vfio{number}")
    found = await fake.devices({**USER, "vfio": vfio})
    assert found[VF0].hardware["iommu 7"] == EXCLUSIVE
    assert clashes(found.values()) == {(VF0, VF1)}
    assert all(each.healthy for each in found.values())


@pytest.mark.parametrize(
    ("vfio", "given", "reason"),
    [
        ("both", ["/dev/vfio/vfio", "/dev/vfio/0"], ""),
        ("iommufd", [], NO_CDEV),
    ],
)
async def test_nodes_that_the_kernel_does_not_have_are_not_given(
    fake: FakeHost, vfio: str, given: list[str], reason: str
) -> None:
    """Without CONFIG_VFIO_DEVICE_CDEV, as in Debian, the folder is there, and nothing in it."""
    fake.tree.put(f"{fake.one_function('vfio-pci')}/vfio-dev/vfio3")
    found = await device(fake, VF0, **USER, vfio=vfio)
    assert ([each.host_path for each in found.edits.nodes], found.reason) == (given, reason)


@pytest.mark.parametrize(
    ("vfio", "given", "reason"),
    [
        ("both", ["/dev/iommu", "/dev/vfio/devices/vfio3"], ""),
        ("group", [], NO_GROUP),
    ],
)
async def test_a_kernel_without_groups_has_nodes_of_functions_alone(
    fake: FakeHost, vfio: str, given: list[str], reason: str
) -> None:
    """Without CONFIG_VFIO_GROUP."""
    fake.tree.vfio_node(fake.one_function("vfio-pci"), "vfio3")
    fake.tree.put("/class/vfio-dev")
    found = await device(fake, VF0, **USER, vfio=vfio)
    assert ([each.host_path for each in found.edits.nodes], found.reason) == (given, reason)


async def test_a_driver_of_vfio_is_known_by_what_it_makes(fake: FakeHost) -> None:
    """Those of vendors have any name."""
    fake.tree.vfio_node(fake.one_function("acme_migration"), "vfio3")
    given = ["/dev/vfio/vfio", "/dev/vfio/0", "/dev/iommu", "/dev/vfio/devices/vfio3"]
    backend = fake.backend(settings({"vfio": "both"}))
    found = (await discover(backend)).devices[VF0]
    assert [each.host_path for each in found.edits.nodes] == given
    assert found.hardware["iommu 0"] == EXCLUSIVE
    [info] = [
        text
        for name, text in (await backend.allocate(found.resource, [found])).envs.items()
        if name.endswith("_INFO")
    ]
    assert '"vfio":{' in info


async def test_a_group_without_iommu_has_the_name_that_the_kernel_gives_it(fake: FakeHost) -> None:
    """Whatever the group is called in sysfs."""
    fake.one_function("vfio-pci")
    fake.tree.put("/class/vfio/noiommu-0")
    found = await device(fake, VF0, **USER)
    assert found.edits.nodes[-1].host_path == "/dev/vfio/noiommu-0"


@pytest.mark.parametrize(("there", "gone"), [("vfio", "0"), ("0", "vfio")])
async def test_a_node_that_is_gone_is_not_given(fake: FakeHost, there: str, gone: str) -> None:
    """Where the process sees the host's /dev: no container would start with it."""
    fake.one_function("vfio-pci")
    backend = fake.backend(settings(USER))
    found = (await discover(backend)).devices[VF0]
    assert await backend.allocate(found.resource, [found])
    fake.tree.path("/dev/vfio").mkdir()
    fake.tree.path(f"/dev/vfio/{there}").touch()
    with pytest.raises(AllocationRefusedError, match=f"/dev/vfio/{gone} of"):
        await backend.allocate(found.resource, [found])


async def test_the_kernel_lets_functions_of_one_group_go_to_several(fake: FakeHost) -> None:
    """A group matters to VFIO alone."""
    two_of_one_group(fake, "iavf")
    assert clashes((await fake.devices({})).values()) == set()


async def test_a_group_that_vfio_refuses_is_sick(fake: FakeHost) -> None:
    """The pod would get EPERM; the reason says what to unbind."""
    two_of_one_group(fake)
    fake.tree.driver(SECOND, "iavf")
    found = await device(fake, VF0, **USER)
    assert found.reason == f"{VF1} in its IOMMU group 7 is bound to iavf"


async def test_a_driver_of_a_sibling_is_told_at_once(fake: FakeHost) -> None:
    """Also one of another class, which is not this backend's otherwise."""
    two_of_one_group(fake)
    place = sound(fake, "")
    async with watching(fake.backend(settings(USER))) as inventories:
        fake.tree.driver(place, "snd_hda_intel")
        fake.tree.tell("bind", place)
        sick = await until(inventories, lambda each: all(reasons(each).values()))
        assert reasons(sick)[VF1] == f"{SOUND} in its IOMMU group 7 is bound to snd_hda_intel"
        fake.tree.driver(place, "")
        fake.tree.tell("unbind", place)
        assert not any(reasons(await until(inventories, _is_well)).values())


async def test_a_sibling_that_is_unplugged_is_told_at_once(fake: FakeHost) -> None:
    """Nothing of it is left that would say what group it was in."""
    two_of_one_group(fake)
    place = sound(fake, "snd_hda_intel")
    async with watching(fake.backend(settings(USER))) as inventories:
        fake.tree.remove(place)
        fake.tree.tell("remove", place)
        await until(inventories, _is_well)


def _is_well(inventory: Any) -> bool:
    return not any(reasons(inventory).values())


def told(fake: FakeHost, pool: Mapping[str, Any]) -> list[str]:
    return [f"{each.subject}: {each.finding}" for each in findings(settings(pool), fake.host.root)]


def test_doctor_says_what_is_given_together_only(fake: FakeHost) -> None:
    """Before pods wait for it."""
    two_of_one_group(fake)
    wanted = f"IOMMU group 7: while a container has one of {VF0}, {VF1}, no other gets the rest"
    assert told(fake, USER) == [wanted]


def test_doctor_says_what_vfio_refuses(fake: FakeHost) -> None:
    """With the driver that is in the way."""
    fake.one_function("vfio-pci")
    fake.tree.iommu_group(FIRST, 7)
    sound(fake, "snd_hda_intel")
    refusal = f"{SOUND} in its IOMMU group 7 is bound to snd_hda_intel"
    assert told(fake, USER) == [f"{VF0}: VFIO cannot have it: {refusal}"]


@pytest.mark.parametrize("simulator", [SriovNetSimulator, LargeSimulator])
async def test_all_devices_of_the_simulator_can_be_in_use_at_once(
    tmp_path: Path, simulator: type[SriovNetSimulator]
) -> None:
    """Functions for VFIO have groups of their own."""
    pools = simulator(tmp_path).settings["pools"]
    found = await FakeHost(tmp_path).devices(*pools)
    assert len(found) in {24, 512}
    assert clashes(found.values(), HostRoot(tmp_path)) == set()
