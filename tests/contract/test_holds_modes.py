"""A pod's hardware is not given in another form: ports as regions, GPUs as slices, functions."""

import shutil
from collections.abc import Mapping

from kubelets.kinds import Kind
from nodeplug_intel_fpga.ids import af_resource, region_resource
from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.simulated_cards import Card, Cards
from nodeplug_intel_fpga.simulator import A10, FILTER, LOOPBACK
from nodeplug_nvidia_gpu.simulated_nodes import mig_node
from nodeplug_nvidia_gpu.simulator import NvidiaGpuSimulator
from nodeplug_sriov_net.adapters import function_place, intel_adapter
from nodeplug_sriov_net.simulator import pool
from nodeplug_sriov_net.trees import Tree
from support.backends_stage import Play, Sections, backends_stage, custom

PORTS, REGION = af_resource(A10, LOOPBACK), region_resource(A10)
CARD, VIRTUAL, OTHER_CARD = "0000:e1:00.0", "0000:e1:00.1", "0000:e2:00.0"
GPU = "nvidia.com/gpu"
SLICES = ("nvidia.com/mig-3g.20gb", "nvidia.com/mig-2g.10gb", "nvidia.com/mig-1g.5gb")
ADAPTER, FUNCTION = "example.com/adapter", "example.com/function"


async def test_a_port_in_use_is_not_given_with_its_region(kind: Kind) -> None:
    """The mode is a setting: a reload makes regions of ports that pods have."""
    async with backends_stage(kind) as play:
        cards = Cards(play.root)
        for address in (CARD, OTHER_CARD):
            cards.add(DFL, address, interfaces=[A10], afus={0: LOOPBACK, 1: LOOPBACK})
        agent = play.start(fpga({}))
        await play.listed(PORTS, 4)
        _, taken = await play.given_what(PORTS, "/dev/dfl-port.1")
        await agent.reload(**fpga({"*": "region"}))
        await play.settled(REGION, 1)
        _, others = await play.rest(REGION)
        assert len(others) == 2
        assert others.isdisjoint(taken)


def shared_card(play: Play) -> tuple[Cards, Card]:
    """Make a card with a port of its own, whose other port may go to a virtual function."""
    cards = Cards(play.root)
    return cards, cards.add(DFL, CARD, interfaces=[A10, A10], afus={0: FILTER})


async def test_who_has_a_port_keeps_the_engine_of_its_card_from_others(kind: Kind) -> None:
    """It programs every port of the card, those of virtual functions too."""
    async with backends_stage(kind) as play:
        cards, card = shared_card(play)
        cards.add_virtual(DFL, VIRTUAL, card, afus={1: LOOPBACK})
        agent = play.start(fpga({VIRTUAL: "af", CARD: "region"}))
        await play.listed(PORTS, 1)
        await play.given(PORTS)
        await agent.reload(**fpga({VIRTUAL: "af", CARD: "regiondevel"}))
        await play.settled(REGION, 0)
        await play.refuses(REGION)


async def test_who_has_the_engine_keeps_ports_from_others(kind: Kind) -> None:
    """Whose virtual functions are made while it has it."""
    async with backends_stage(kind) as play:
        cards, card = shared_card(play)
        play.start(fpga({VIRTUAL: "af", CARD: "regiondevel"}))
        await play.listed(REGION, 1)
        await play.given(REGION)
        cards.add_virtual(DFL, VIRTUAL, card, afus={1: LOOPBACK})
        await play.kubelet.until(lambda: bool(play.health(PORTS)))
        await play.refuses(PORTS)


async def test_a_port_whose_node_is_another_card_s_waits_for_the_end_of_the_pod(
    kind: Kind,
) -> None:
    """Plugged anew, cards have other numbers: one's container would open the other."""
    async with backends_stage(kind) as play:
        two_cards(play, CARD, OTHER_CARD)
        play.start(fpga({}))
        await play.listed(PORTS, 2)
        pod, taken = await play.given_what(PORTS, "/dev/dfl-port.0")
        shutil.rmtree(play.root / "sys")
        two_cards(play, OTHER_CARD, CARD)
        await play.settled(PORTS, 0)
        _, others = await play.rest(PORTS)
        assert others.isdisjoint(taken)
        assert set(play.health(PORTS).values()) == {"Unhealthy"}
        await play.kubelet.remove(pod)
        await play.listed(PORTS, 2)


def two_cards(play: Play, *addresses: str) -> None:
    cards = Cards(play.root)
    for address in addresses:
        cards.add(DFL, address, interfaces=[A10], afus={0: LOOPBACK})


def fpga(modes: Mapping[str, str]) -> Sections:
    return {"intel_fpga": {"pollSeconds": 0.1, "cards": modes}}


async def test_a_gpu_in_use_is_not_given_in_slices(kind: Kind) -> None:
    """The strategy is a setting: a reload makes slices of a GPU that a pod has whole."""
    async with backends_stage(kind) as play:
        settings = NvidiaGpuSimulator(play.root, mig_node()).settings
        agent = play.start({"nvidia_gpu": {**settings, "migStrategy": "none"}})
        await play.listed(GPU, 2)
        await play.given(GPU, 2)
        await agent.reload(nvidia_gpu={**settings, "migStrategy": "mixed"})
        for name in SLICES:
            await play.kubelet.until(lambda name=name: bool(play.health(name)))  # type: ignore[misc]
            await play.refuses(name)


async def test_a_gpu_of_which_a_pod_has_a_slice_is_not_given_whole(kind: Kind) -> None:
    """By the opposite reload."""
    async with backends_stage(kind) as play:
        settings = NvidiaGpuSimulator(play.root, mig_node()).settings
        agent = play.start({"nvidia_gpu": {**settings, "migStrategy": "mixed"}})
        await play.listed(SLICES[0], 1)
        await play.given(SLICES[0])
        await agent.reload(nvidia_gpu={**settings, "migStrategy": "none"})
        await play.kubelet.until(lambda: len(play.health(GPU)) == 2)
        await play.settled(GPU, 1)
        pods, _ = await play.rest(GPU)
        assert len(pods) == 1


async def test_functions_that_appear_are_not_given_while_a_pod_has_the_adapter(
    kind: Kind,
) -> None:
    """An adapter can be had whole as long as it has no virtual functions."""
    async with backends_stage(kind) as play:
        tree = Tree(play.root)
        intel_adapter(tree, 0, functions=0)
        pools = [pool(ADAPTER, devices=["1592"]), pool(FUNCTION, devices=["1889"])]
        play.start({"sriov_net": {"reconcileSeconds": 0.2, "pools": pools}})
        await play.listed(ADAPTER, 1)
        await play.given(ADAPTER)
        intel_adapter(tree, 0, functions=2)
        await play.kubelet.until(lambda: len(play.health(FUNCTION)) == 2)
        await play.refuses(FUNCTION)


async def test_an_adapter_is_not_given_while_a_pod_has_a_function_of_it(kind: Kind) -> None:
    """By another backend, which knows nothing of virtual functions."""
    async with backends_stage(kind) as play:
        tree = Tree(play.root)
        intel_adapter(tree, 0, functions=2, driver="vfio-pci")
        tree.driver(function_place(0), "vfio-pci")
        tree.iommu_group(function_place(0), 99)
        sections: Sections = {"sriov_net": {"pools": [pool(FUNCTION, devices=["1889"])]}}
        agent = play.start(sections)
        await play.listed(FUNCTION, 2)
        await play.given(FUNCTION)
        await agent.stop()
        whole = {"name": ADAPTER, "hardware": [{"pci": {"device": "1592"}}]}
        for number, name in enumerate(("vfio", "99")):
            play.node(f"/dev/vfio/{name}", number)
        play.start({**sections, **custom(whole)})
        await play.kubelet.until(lambda: bool(play.health(ADAPTER)))
        await play.refuses(ADAPTER)
