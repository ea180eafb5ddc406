"""What the driver says of GPUs becomes devices."""

from support.nvml_host import GPU, NvmlHost, reasons, uuid


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
