"""Claims about which GPUs and slices exclude each other."""

from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from nodeplug.host.host import open_host
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug.values.hardware import EXCLUSIVE, PART, shared_as
from nodeplug.values.inventory import Inventory
from nodeplug_nvidia_gpu.plugin import SPEC
from nodeplug_nvidia_gpu.simulated import Description
from nodeplug_nvidia_gpu.simulated_nodes import a100_node, l40s_node, mig_node, t4_node
from nodeplug_nvidia_gpu.simulator import NvidiaGpuSimulator
from support.clashes import clash, clashes
from support.nvml_host import NvmlHost, slice_uuid, uuid

ENV: Mapping[str, Any] = {}
NODES: Mapping[str, Any] = {"passDeviceSpecs": True}
CDI: Mapping[str, Any] = {"deviceListStrategy": ["cdi-cri"]}
DEV_ROOT: Mapping[str, Any] = {"passDeviceSpecs": True, "devRoot": "/run/nvidia"}


async def discovered(folder: Path, node: Description, strategy: str) -> Inventory:
    simulator = NvidiaGpuSimulator(folder, node)
    section = {**simulator.settings, "migStrategy": strategy}
    settings = msgspec.convert(section, SPEC.settings)
    host = open_host(str(folder), str(folder / "uevents.sock"))
    async with aclosing(SPEC.build(settings, host, None).inventories()) as inventories:
        return await anext(inventories)


async def gpu(host: NvmlHost, number: int, **keys: Any) -> Device:
    return (await host.inventory(**keys)).devices[uuid(number)]


async def part(host: NvmlHost, number: int, index: int, **keys: Any) -> Device:
    found = await host.inventory(migStrategy="mixed", **keys)
    return found.devices[slice_uuid(number, index)]


async def test_a_whole_gpu_is_alone(eight: NvmlHost) -> None:
    """By its id, its place and its node, for others may hand out any of these."""
    keys = (f"gpu {uuid(1)}", "pci 0000:11:00.0", "path /dev/nvidia1")
    assert (await gpu(eight, 1)).hardware == dict.fromkeys(keys, EXCLUSIVE)


async def test_a_slice_is_a_part_of_its_gpu(eight: NvmlHost) -> None:
    """It owns what the driver calls it, and its place among the instances."""
    eight.cut(1, "1g.5gb", "3g.20gb")
    parts = (f"gpu {uuid(1)}", "pci 0000:11:00.0", "path /dev/nvidia1")
    capabilities = ("path /dev/nvidia-caps/nvidia-cap221", "path /dev/nvidia-caps/nvidia-cap222")
    own = (f"mig {slice_uuid(1, 1)}", f"mig {uuid(1)}/2/0")
    wanted = {**dict.fromkeys((*parts, *capabilities), PART), **dict.fromkeys(own, EXCLUSIVE)}
    assert (await part(eight, 1, 1)).hardware == wanted


@pytest.mark.parametrize("keys", [ENV, NODES, CDI, DEV_ROOT])
async def test_slices_exclude_their_gpu_and_not_each_other(
    eight: NvmlHost, keys: Mapping[str, Any]
) -> None:
    """However they are injected: a GPU may be served whole before it is cut, or the reverse."""
    eight.cut(0, "1g.5gb", "3g.20gb", "1g.5gb")
    assert clashes((await eight.inventory(migStrategy="mixed", **keys)).devices.values()) == set()
    one = await part(eight, 0, 0, **keys)
    assert clash(one, await gpu(eight, 0, migStrategy="none", **keys))
    assert not clash(one, await gpu(eight, 1, **keys))


async def test_compute_instances_share_their_gpu_instance(eight: NvmlHost) -> None:
    """Two slices of one GPU instance have its capability, and are apart all the same."""
    eight.cut(0, "1c.3g.20gb", "1c.3g.20gb")
    first, second = eight.state.gpus[0].slices[:2]
    second.instance, second.compute_instance = first.instance, 1
    found = [await part(eight, 0, index, passDeviceSpecs=True) for index in range(2)]
    nodes = [{node.host_path for node in each.edits.nodes} for each in found]
    assert "/dev/nvidia-caps/nvidia-cap12" in nodes[0] & nodes[1]
    assert clashes(found) == set()


async def test_a_slice_made_anew_in_the_same_place_excludes_the_old_one(eight: NvmlHost) -> None:
    """Who holds the old one has the capability to open the new one."""
    eight.cut(0, "1g.5gb")
    old = await part(eight, 0, 0)
    eight.state.gpus[0].slices[0].uuid = slice_uuid(0, 5).encode()
    assert clash(old, await part(eight, 0, 5))


async def test_nodes_below_another_root_are_named_as_on_the_host(eight: NvmlHost) -> None:
    """A driver in a container has its nodes there."""
    keys = (await gpu(eight, 0, **DEV_ROOT)).hardware
    assert "path /run/nvidia/dev/nvidia0" in keys


async def test_replicas_share_a_gpu_and_exclude_who_wants_it_alone(eight: NvmlHost) -> None:
    """As core declares them; nothing of a GPU is left that they would fight over."""
    found = (await gpu(eight, 0)).hardware
    assert set(shared_as("offer", found).values()) == {"offer"}


@pytest.mark.parametrize("node", [a100_node, t4_node, l40s_node, mig_node])
@pytest.mark.parametrize("strategy", ["none", "mixed", "single"])
async def test_all_devices_of_a_node_can_be_in_use_at_once(
    tmp_path: Path, node: Callable[[], Description], strategy: str
) -> None:
    """The control nodes and channels that come with each are nobody's."""
    found = await discovered(tmp_path, node(), strategy)
    assert len(found.devices) >= 2
    assert clashes(found.devices.values(), HostRoot(tmp_path)) == set()
