"""What the driver says of GPUs becomes devices."""

from support.nvml_host import GPU, NvmlHost, reasons, until, uuid, watching
from support.nvml_state import LOST


async def test_every_gpu_is_a_healthy_device(eight: NvmlHost) -> None:
    """Under the resource that pods of NVIDIA's plugin ask for."""
    inventory = await eight.inventory()
    assert [*inventory.devices] == [uuid(number) for number in range(8)]
    assert {device.resource for device in inventory.devices.values()} == {GPU}
    assert reasons(inventory) == {}


async def test_a_device_has_the_facts_that_the_driver_knows(eight: NvmlHost) -> None:
    """Operators select by them."""
    device = (await eight.inventory()).devices[uuid(3)]
    assert dict(device.attributes) == {
        "uuid": uuid(3),
        "index": 3,
        "nvmlIndex": "3",
        "minor": 3,
        "model": "NVIDIA A100-SXM4-40GB",
        "pciAddress": "0000:13:00.0",
        "memory": 40,
        "architecture": "ampere",
        "computeCapability": "8.0",
        "migEnabled": False,
        "migCapable": True,
        "driverVersion": "550.54.15",
        "cudaVersion": "12.4",
    }
    assert dict(device.capacity) == {"memory": 40 << 30}


async def test_a_device_has_its_place(eight: NvmlHost) -> None:
    """Its NUMA node, and what lies between it and the processor."""
    eight.plug(3)
    eight.plug(4)
    devices = (await eight.inventory()).devices
    assert [devices[uuid(n)].numa_nodes for n in (3, 4, 5)] == [(0,), (1,), ()]
    assert devices[uuid(3)].location == ("pci0000:00", "0000:00:03.0", "0000:13:00.0")


async def test_gpus_that_only_drive_a_display_are_not_served(eight: NvmlHost) -> None:
    """DGX stations have one."""
    eight.state.gpus[5].name = b"NVIDIA DGX Display"
    assert uuid(5) not in (await eight.inventory()).devices


async def test_what_the_driver_does_not_know_is_left_out(eight: NvmlHost) -> None:
    """A name of strangers forges no line either."""
    eight.state.gpus[0].name = b"GPU\nX"
    eight.state.cuda = 0
    attributes = (await eight.inventory()).devices[uuid(0)].attributes
    assert attributes["model"] == "GPU\\nX"
    assert "cudaVersion" not in attributes


async def test_a_name_of_many_bytes_costs_no_gpu(eight: NvmlHost) -> None:
    """Attributes hold 64 of them."""
    eight.state.gpus[3].name = ("é" * 40).encode()
    found = (await eight.inventory()).devices
    assert found[uuid(3)].attributes["model"] == "é" * 32


async def test_gpus_on_switches_are_linked_to_all_others(eight: NvmlHost) -> None:
    """NVML shows the switch as the other end."""
    for number in range(3):
        eight.state.gpus[number].link_kinds[:12] = [2] * 12
    eight.state.gpus[2].link_kinds[0] = DOWN
    links = (await eight.inventory()).links
    assert links == {(uuid(0), uuid(1)): 12, (uuid(0), uuid(2)): 11, (uuid(1), uuid(2)): 11}


async def test_gpus_that_are_linked_directly_are_linked_by_so_many(eight: NvmlHost) -> None:
    """Both ends tell; links to elsewhere do not count."""
    link(eight, 0, 3, 4)
    link(eight, 3, 0, 4)
    link(eight, 1, 99, 2)
    assert (await eight.inventory()).links == {(uuid(0), uuid(3)): 4}


async def test_gpus_of_different_cliques_are_not_linked(eight: NvmlHost) -> None:
    """Their switches do not let traffic pass."""
    for number in range(3):
        gpu = eight.state.gpus[number]
        gpu.link_kinds[:2] = [2, 2]
        gpu.fabric_state, gpu.clique, gpu.cluster[0] = 3, number // 2, 1
    assert (await eight.inventory()).links == {(uuid(0), uuid(1)): 2}


async def test_a_gpu_that_hangs_in_its_links_keeps_nobody_from_those_of_others(
    eight: NvmlHost,
) -> None:
    """Nor from news of them."""
    eight.fault("nvmlDeviceGetNvLinkState", 3, hang=True)
    link(eight, 0, 1, 4)
    async with watching(eight.backend()) as inventories:
        first = await anext(inventories)
        assert (len(first.devices), first.links) == (8, {(uuid(0), uuid(1)): 4})
        eight.state.gpus[5].error = LOST
        sick = await until(inventories, lambda each: bool(reasons(each)))
        assert reasons(sick).keys() == {uuid(5)}


async def test_new_gpus_are_linked_as_they_come(eight: NvmlHost) -> None:
    """Links are asked for again when the GPUs change."""
    link(eight, 0, 8, 4)
    async with watching(eight.backend()) as inventories:
        assert not (await anext(inventories)).links
        eight.add(8)
        found = await until(inventories, lambda inventory: len(inventory.devices) == 9)
    assert found.links == {(uuid(0), uuid(8)): 4}


DOWN = 3


def link(host: NvmlHost, one: int, other: int, count: int) -> None:
    gpu = host.state.gpus[one]
    gpu.link_kinds[:count] = [1] * count
    gpu.link_buses[:count] = [0x10 + other] * count
