"""One odd device is an omission; `make fuzz` tries far more ways to be odd."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fuzz import hosts
from fuzz.hosts import Scene
from nodeplug_sriov_net.adapters import function_place
from support.nvml_host import uuid

CARD = "sys/devices/pci0000:e1/0000:e1:1f.0/0000:e1:00.0"
FUNCTION = f"sys{function_place(1, 0)}"
HOSTS = {
    "custom": (hosts.cameras, "sys/devices/pci0000:00/0000:00:03.0", "pci-0000:00:03.0"),
    "custom path": (hosts.cameras, "sys/devices/pci0000:00/0000:01:03.0", "dev:node0"),
    "intel_fpga": (hosts.cards, CARD, "fpga-0000:e1:00.0-port0"),
    "sriov_net": (hosts.adapters, FUNCTION, FUNCTION.rpartition("/")[2]),
    "nvidia_gpu": (None, "sys/devices/pci0000:00/0000:00:02.0/0000:12:00.0", uuid(2)),
}

Make = Callable[[Path], Scene]


@pytest.mark.parametrize(
    ("make", "place", "device"), HOSTS.values(), ids=list(HOSTS), indirect=["make"]
)
async def test_a_numa_node_beyond_the_kubelets_leaves_out_that_device_alone(
    make: Make, place: str, device: str, tmp_path: Path
) -> None:
    """R35: its Topology Manager has 64 bits. The others are served, and the reason is told."""
    scene = make(tmp_path)
    before = await scene.eyes().look()
    (tmp_path / place / "numa_node").write_text("64\n")
    after = await scene.eyes().look()
    assert before.devices.keys() - after.devices.keys() == {device}
    assert all(each.healthy for each in after.devices.values())
    [reason] = after.left_out.values()
    assert "NUMA nodes (64,) not in 0..63" in reason
