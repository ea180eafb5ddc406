"""What the backend tells after a change of functions and drivers."""

import time

import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug_sriov_net.adapters import (
    address_of,
    function_place,
    intel_adapter,
    mellanox_adapter,
    place_of,
)
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.simulator import LargeSimulator
from support.sriov_host import (
    POOL,
    FakeHost,
    discover,
    nodes,
    reasons,
    settings,
    until,
    watching,
)
from support.sriov_stage import served
from support.timed import on_this_machine, timed

VF0, VF1 = address_of(0, 0), address_of(0, 1)
PF = function_place(0)
OTHER = "example.com/other"
KERNEL = {"selectors": [{"drivers": ["iavf"]}]}
USER = {"name": OTHER, "selectors": [{"drivers": ["vfio-pci"]}]}


async def test_a_new_virtual_function_is_told(fake: FakeHost) -> None:
    """It belongs to its physical function from the first moment."""
    intel_adapter(fake.tree, 0, functions=1)
    backend = fake.backend(settings({"selectors": [{"pfNames": ["ens1"]}]}))
    async with watching(backend) as inventories:
        place = fake.tree.function(place_of(0), VF1, "8086:1889:020000")
        fake.tree.virtual(PF, 1, place)
        fake.tree.driver(place, "iavf")
        fake.tree.tell("add", place)
        found = await until(inventories, lambda each: VF1 in each.devices)
    assert found.devices[VF1].attributes["vfIndex"] == 1


async def test_a_removed_virtual_function_is_told(fake: FakeHost) -> None:
    """Core keeps its id as long as a container may hold it."""
    intel_adapter(fake.tree, 0, functions=2)
    async with watching(fake.backend(settings({}))) as inventories:
        fake.tree.path(f"/sys{PF}/virtfn1").unlink()
        fake.tree.remove(function_place(0, 1))
        fake.tree.tell("remove", function_place(0, 1))
        assert [*(await anext(inventories)).devices] == [VF0]


async def test_a_physical_function_is_served_once_it_has_no_functions(fake: FakeHost) -> None:
    """And never while it has some."""
    intel_adapter(fake.tree, 0, functions=1)
    async with watching(fake.backend(settings({}))) as inventories:
        fake.tree.path(f"/sys{PF}/virtfn0").unlink()
        fake.tree.put(PF, sriov_numvfs=0)
        fake.tree.remove(function_place(0, 0))
        fake.tree.tell("remove", function_place(0, 0))
        assert [*(await anext(inventories)).devices] == [address_of(0)]


async def test_a_function_on_its_way_out_is_its_adapters_to_the_end(fake: FakeHost) -> None:
    """The kernel takes the links between them first, and waits for whoever has the function."""
    intel_adapter(fake.tree, 0, functions=1)
    place = function_place(0, 0)
    async with watching(fake.backend(settings({}))) as inventories:
        fake.tree.path(f"/sys{PF}/virtfn0").unlink()
        fake.tree.path(f"/sys{place}/physfn").unlink()
        fake.tree.driver(place, "")
        fake.tree.tell("unbind", place)
        assert reasons(await anext(inventories)) == {VF0: "no driver is bound to it"}
        fake.tree.remove(place)
        fake.tree.tell("remove", place)
        assert [*(await anext(inventories)).devices] == [address_of(0)]


async def test_the_count_of_an_adapters_functions_is_not_read(fake: FakeHost) -> None:
    """The kernel does not answer while the count is being changed, which may take for ever."""
    intel_adapter(fake.tree, 0, functions=0)
    fake.tree.put(PF, sriov_numvfs=4)
    assert [*await fake.devices({})] == [address_of(0)]


async def test_a_new_function_is_of_use_once_its_driver_has_come_to_terms_with_it(
    fake: FakeHost,
) -> None:
    """The kernel makes the link to the driver before, and tells of it after."""
    intel_adapter(fake.tree, 0, functions=1)
    async with watching(fake.backend(settings({}))) as inventories:
        place = fake.tree.function(place_of(0), VF1, "8086:1889:020000")
        fake.tree.virtual(PF, 1, place)
        fake.tree.driver(place, "iavf")
        fake.tree.tell("add", place)
        found = await until(inventories, lambda each: VF1 in each.devices)
        assert reasons(found) == {VF0: "", VF1: "its driver is still probing it"}
        fake.tree.tell("bind", place)
        await until(inventories, lambda each: not any(reasons(each).values()))


async def test_what_udev_has_the_kernel_repeat_makes_no_function_sick(fake: FakeHost) -> None:
    """It asks for that at boot, of all devices."""
    place = fake.one_function("vfio-pci")
    async with watching(fake.backend(settings({}))) as inventories:
        event = Uevent("add", place, "pci", "", {"SYNTH_UUID": "0"})
        send_uevent(fake.folder / "uevents.sock", event)
        fake.tree.put(place, acpi_index=7)  # something that is told
        fake.tree.tell("change", place)
        assert not any(reasons(await anext(inventories)).values())


async def test_a_function_without_driver_stays_in_its_pool_and_recovers(fake: FakeHost) -> None:
    """Even where another pool would take one without driver."""
    place = fake.one_function("iavf")
    backend = fake.backend(settings(KERNEL, {"name": OTHER}))
    async with watching(backend) as inventories:
        fake.tree.driver(place, "")
        fake.tree.tell("unbind", place)
        lost = (await anext(inventories)).devices[VF0]
        assert (lost.resource, lost.reason) == (POOL, "no driver is bound to it")
        fake.tree.driver(place, "iavf")
        fake.tree.tell("bind", place)
        assert (await anext(inventories)).devices[VF0].healthy


async def test_a_rebound_function_goes_to_the_pool_of_its_new_driver(fake: FakeHost) -> None:
    """With the nodes of that driver."""
    place = fake.one_function("iavf")
    async with watching(fake.backend(settings(KERNEL, USER))) as inventories:
        fake.tree.driver(place, "vfio-pci")
        fake.tree.tell("bind", place)
        device = (await anext(inventories)).devices[VF0]
    assert (device.resource, device.reason, len(nodes(device))) == (OTHER, "", 2)


async def test_an_unexpected_driver_makes_a_function_unhealthy(fake: FakeHost) -> None:
    """It was served, and nobody else wants it."""
    place = fake.one_function("iavf")
    async with watching(fake.backend(settings(KERNEL))) as inventories:
        fake.tree.driver(place, "vfio-pci")
        fake.tree.tell("bind", place)
        told = reasons(await anext(inventories))
    assert told == {VF0: "its driver is vfio-pci, not iavf"}


async def test_a_function_without_driver_at_start_is_unhealthy(fake: FakeHost) -> None:
    """If a pool selects it, whatever its driver."""
    fake.tree.driver(fake.one_function("iavf"), "")
    assert reasons(await discover(fake.backend(settings({})))) == {VF0: "no driver is bound to it"}


async def test_a_pool_that_wants_a_driver_takes_none_without(fake: FakeHost) -> None:
    """Nothing says that it ever had the right one."""
    fake.tree.driver(fake.one_function("iavf"), "")
    assert not reasons(await discover(fake.backend(settings(KERNEL))))


async def test_a_switch_that_is_turned_on_keeps_the_name_of_its_adapter(fake: FakeHost) -> None:
    """The ports of functions come first in order, and are not taken for the uplink."""
    intel_adapter(fake.tree, 0, functions=1)
    backend = fake.backend(settings({"selectors": [{"pfNames": ["ens1"]}]}))
    async with watching(backend) as inventories:
        switch = {"phys_switch_id": "01"}
        fake.tree.netdev(PF, "aaa", index=1, phys_port_name="pf0vf0", **switch)
        fake.tree.put(f"{PF}/net/ens1", phys_port_name="p0", **switch)
        fake.tree.tell("change", PF)
        device = (await anext(inventories)).devices[VF0]
    assert (device.attributes["pfName"], device.attributes["representor"]) == ("ens1", "aaa")


async def test_an_adapter_whose_link_is_made_anew_keeps_its_functions(fake: FakeHost) -> None:
    """As when the switch is turned on: for a moment it has no name."""
    intel_adapter(fake.tree, 0, functions=1, driver="vfio-pci")
    backend = fake.backend(settings({"selectors": [{"pfNames": ["ens1"]}]}))
    async with watching(backend) as inventories:
        fake.tree.remove(f"{PF}/net/ens1")
        fake.tree.put(function_place(0, 0), acpi_index=7)  # something that is told
        fake.tree.tell("change", function_place(0, 0))
        assert (await anext(inventories)).devices[VF0].attributes["pfName"] == "ens1"


async def test_an_rdma_device_in_a_container_is_in_use_and_not_gone(fake: FakeHost) -> None:
    """Where the RDMA subsystem is in exclusive mode, it leaves with the network device."""
    mellanox_adapter(fake.tree, 0, functions=1)
    place = function_place(0, 0)
    fake.tree.put(f"{place}/mlx5_core.rdma.4")
    pools = settings({"selectors": [{"isRdma": True}]})
    async with watching(fake.backend(pools)) as inventories:
        for folder in ("net/ens1f0v0", "infiniband/mlx5_0_1"):
            fake.tree.remove(f"{place}/{folder}")
        fake.tree.tell("remove", f"{place}/infiniband/mlx5_0_1", "infiniband")
        fake.tree.put(place, acpi_index=7)  # something that is told
        fake.tree.tell("change", place)
        device = (await anext(inventories)).devices[VF0]
    assert (device.reason, device.attributes["netdev"], len(nodes(device))) == (
        "",
        "ens1f0v0",
        4,
    )


async def test_an_rdma_function_in_use_at_the_start_is_in_its_pool(fake: FakeHost) -> None:
    """What its driver has made for RDMA stays where it is."""
    fake.tree.put(f"{fake.one_function('mlx5_core')}/mlx5_core.rdma.4")
    assert await fake.chosen(isRdma=True) == [VF0]


async def test_a_new_configuration_knows_what_the_old_one_saw(fake: FakeHost) -> None:
    """A function without driver is in its pool after a reload too."""
    place, memory = fake.one_function("iavf"), Memory()
    await discover(fake.backend(settings(KERNEL), memory))
    fake.tree.driver(place, "")
    again = await discover(fake.backend(settings(KERNEL, USER), memory))
    assert reasons(again) == {VF0: "no driver is bound to it"}


async def test_lost_events_are_made_up_for_by_a_look_at_everything(fake: FakeHost) -> None:
    """What could not be read might have told of anything."""
    place = fake.one_function("iavf")
    async with watching(fake.backend(settings(KERNEL))) as inventories:
        fake.tree.driver(place, "")
        fake.tree.tell("", "")
        assert reasons(await anext(inventories))[VF0]


async def test_without_events_there_is_a_slow_look(fake: FakeHost) -> None:
    """What no event told is found all the same, when the pause is over."""
    place = fake.one_function("iavf")
    wanted = settings(KERNEL, reconcileSeconds=0.05)
    async with watching(fake.backend(wanted)) as inventories:
        fake.tree.driver(place, "")
        assert reasons(await anext(inventories))[VF0]


@timed
async def test_one_change_among_512_functions_is_listed_within_the_promise(
    fake: FakeHost,
) -> None:
    """At the kubelet; on a busy machine, the quickest of ten tell."""
    simulator, figures = LargeSimulator(fake.folder), []
    pools = simulator.settings["pools"]
    every = {address_of(1, index) for index in range(128)}
    async with served(fake, settings(*pools)) as play:
        await play.healthy(*every, resource=simulator.resource)
        for _ in range(5):
            started = time.perf_counter()
            lost = simulator.lose()
            await play.healthy(*(every - {lost}), resource=simulator.resource)
            figures.append(time.perf_counter() - started)
            started = time.perf_counter()
            simulator.recover()
            await play.healthy(*every, resource=simulator.resource)
            figures.append(time.perf_counter() - started)
    assert min(figures) < on_this_machine(0.050)


@pytest.mark.parametrize("way", ["remove", "unbind"])
async def test_a_function_held_by_a_container_is_never_taken_from_the_list(
    fake: FakeHost, way: str
) -> None:
    """It is Unhealthy there until the container ends."""
    place = fake.one_function("iavf")
    async with served(fake, settings(KERNEL)) as play:
        await play.healthy(VF0)
        await play.admit(POOL, 1)
        if way == "remove":
            fake.tree.remove(place)
        else:
            fake.tree.driver(place, "")
        fake.tree.tell(way, place)
        await play.healthy()
        assert play.kubelet.devices(POOL) == {VF0: "Unhealthy"}
