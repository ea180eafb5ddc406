"""Simulated nodes are like those that they are named for."""

from collections import Counter
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import msgspec
import pytest

from nodeplug.host.host import open_host
from nodeplug.offers import OfferRule, make_offers
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.prefer import prefer
from nodeplug.values.inventory import Inventory
from nodeplug_nvidia_gpu.plugin import SPEC
from nodeplug_nvidia_gpu.simulated import Description
from nodeplug_nvidia_gpu.simulated_nodes import a100_node, l40s_node, mig_node, t4_node
from nodeplug_nvidia_gpu.simulator import NvidiaGpuSimulator

GPU = "nvidia.com/gpu"
MIG = {f"nvidia.com/mig-{name}": n for name, n in (("3g.20gb", 1), ("2g.10gb", 1), ("1g.5gb", 2))}


async def discovered(folder: Path, node: Description, strategy: str) -> Inventory:
    simulator = NvidiaGpuSimulator(folder, node)
    section = {**simulator.settings, "migStrategy": strategy}
    settings = msgspec.convert(section, SPEC.settings)
    host = open_host(str(folder), str(folder / "uevents.sock"))
    async with aclosing(SPEC.build(settings, host, None).inventories()) as inventories:
        return await anext(inventories)


@pytest.mark.parametrize(
    ("node", "resources"),
    [
        (a100_node, {GPU: 8}),
        (t4_node, {GPU: 4}),
        (l40s_node, {GPU: 8}),
        (mig_node, {GPU: 1, **MIG}),
    ],
)
async def test_a_node_has_its_gpus(
    tmp_path: Path, node: Callable[[], Description], resources: dict[str, int]
) -> None:
    """And its slices."""
    inventory = await discovered(tmp_path, node(), "mixed")
    assert Counter(each.resource for each in inventory.devices.values()) == resources
    assert all(each.healthy for each in inventory.devices.values())


async def test_gpus_of_one_socket_are_close_to_each_other(tmp_path: Path) -> None:
    """Four of eight do not cross from one processor to the other."""
    inventory = await discovered(tmp_path, l40s_node(), "none")
    offer = make_offers(inventory, [OfferRule(resource=GPU, policy="aligned")])[GPU]
    ids = [*inventory.devices]
    chosen = prefer(Atlas.of(offer), "aligned", ids, [ids[5]], 4)
    assert {*chosen} == {*ids[4:]}
