"""One piece of hardware that can be had in two ways is given in one of them."""

from contextlib import suppress

from kubelets.kinds import Kind
from nodeplug.testing import Pod
from nodeplug_intel_fpga.ids import af_resource
from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.simulated_cards import Cards
from nodeplug_intel_fpga.simulator import A10, LOOPBACK
from nodeplug_sriov_net.simulator import pool
from nodeplug_sriov_net.trees import Tree
from support.backends_stage import Play, Sections, backends_stage, custom, files

ONE, OTHER = "example.com/one", "example.com/other"
PORTS = af_resource(A10, LOOPBACK)
NETWORK: Sections = {"sriov_net": {"pools": [pool(ONE, vendors=["8086"])]}}
FUNCTIONS = custom({"name": OTHER, "hardware": [{"pci": {"vendor": "8086"}}]})


def functions(play: Play, *groups: int) -> None:
    """Make functions that VFIO drives, one in each of these IOMMU groups."""
    tree = Tree(play.root)
    for number, group in enumerate(groups):
        place = tree.function("/devices/pci0000:00", f"0000:00:0{number}.0", "8086:1889:020000")
        tree.driver(place, "vfio-pci")
        tree.iommu_group(place, group)
        play.node(f"/dev/vfio/{group}", group)
    play.node("/dev/vfio/vfio", 200)


async def winners(play: Play, *resources: str) -> list[Pod]:
    """Return pods that get what resources have, as soon as they show it."""
    for name in resources:
        await play.kubelet.until(lambda name=name: bool(play.health(name)))  # type: ignore[misc]
    with suppress(TimeoutError):
        await play.kubelet.journal.until(lambda: sum(map(play.free, resources)) == 1, 2)
    return [pod for name in resources for pod in (await play.rest(name))[0]]


async def test_a_function_of_two_backends_goes_to_one_pod(kind: Kind) -> None:
    """A pool of the network and an entry of the configuration select it, each by an id."""
    async with backends_stage(kind) as play:
        functions(play, 7)
        play.start({**NETWORK, **FUNCTIONS})
        assert len(await winners(play, ONE, OTHER)) == 1


async def test_a_function_of_two_agents_goes_to_one_pod(kind: Kind) -> None:
    """Each backend in a process of its own, as separate charts install them."""
    async with backends_stage(kind) as play:
        await given_by_one_of_two(play)


async def test_a_function_of_two_agents_can_be_had_by_the_other_one_afterwards() -> None:
    """It learns from the ledger that it was given, and from the kubelet that it is free."""
    async with backends_stage() as play:
        pod = await given_by_one_of_two(play)
        await play.listed(OTHER, 0)
        await play.kubelet.remove(pod)
        await play.listed(OTHER, 1)
        await play.given(OTHER)


async def given_by_one_of_two(play: Play) -> Pod:
    """Return the pod that has the function, of which the other agent knows."""
    functions(play, 7)
    play.start(NETWORK)
    # What one process asks the kubelet, it asks for all that is in it.
    other = play.pod_resources.with_name("two.sock")
    other.symlink_to(play.pod_resources)
    play.start(FUNCTIONS, installation="two", pod_resources=other)
    await play.listed(ONE, 1)
    await play.listed(OTHER, 1)
    pod, _ = await play.given(ONE)
    await play.refuses(OTHER)
    return pod


async def test_a_node_of_two_backends_goes_to_one_pod() -> None:
    """The port of a card, and the path of its node."""
    async with backends_stage() as play:
        Cards(play.root).add(DFL, "0000:e1:00.0", interfaces=[A10], afus={0: LOOPBACK})
        play.start({"intel_fpga": {}, **custom(files(OTHER, "/dev/dfl-port.0"))})
        assert len(await winners(play, PORTS, OTHER)) == 1


async def test_nodes_of_one_number_go_to_one_pod() -> None:
    """The kernel knows devices by their numbers; names are for people."""
    async with backends_stage() as play:
        for name in ("a0", "b0"):
            play.node(f"/dev/{name}", 5)
        play.start(custom(files(ONE, "/dev/a0"), files(OTHER, "/dev/b0")))
        assert len(await winners(play, ONE, OTHER)) == 1


async def test_functions_of_one_iommu_group_go_to_one_pod() -> None:
    """VFIO gives a group to one container; another's would not start."""
    async with backends_stage() as play:
        functions(play, 7, 7)
        play.start(NETWORK)
        await play.kubelet.until(lambda: len(play.health(ONE)) == 2)
        assert len(await winners(play, ONE)) == 1


async def test_functions_of_one_iommu_group_go_to_one_pod_of_two_backends() -> None:
    """Though they are different functions, and have different owners."""
    async with backends_stage() as play:
        functions(play, 7, 7)
        first = {"sriov_net": {"pools": [pool(ONE, pciAddresses=["0000:00:00.0"])]}}
        second = custom({"name": OTHER, "hardware": [{"pci": {"address": "0000:00:01.0"}}]})
        play.start({**first, **second})
        assert len(await winners(play, ONE, OTHER)) == 1


def disk(play: Play, parts: int) -> None:
    """Make a disk with partitions, as the kernel shows them."""
    blocks = play.root / "sys/devices/pci0000:00/block"
    index = play.root / "sys/dev/block"
    index.mkdir(parents=True)
    for number, path in enumerate(("", *(f"/disk{part + 1}" for part in range(parts)))):
        folder = blocks / f"disk{path}"
        folder.mkdir(parents=True)
        (index / f"240:{number}").symlink_to(f"../../devices/pci0000:00/block/disk{path}")
        play.node(f"/dev/disk{number or ''}", number, block=True)


async def test_a_disk_is_not_given_while_a_pod_has_a_part_of_it() -> None:
    """It would be written over."""
    async with backends_stage() as play:
        disk(play, parts=2)
        agent = play.start(custom(files(OTHER, "/dev/disk1")))
        await play.listed(OTHER, 1)
        await play.given(OTHER)
        await agent.reload(**custom(files(ONE, "/dev/disk"), files(OTHER, "/dev/disk1")))
        await play.kubelet.until(lambda: bool(play.health(ONE)))
        await play.refuses(ONE)


async def test_parts_of_a_disk_are_not_given_while_a_pod_has_the_disk() -> None:
    """Whoever has the whole can write to all of it."""
    async with backends_stage() as play:
        disk(play, parts=2)
        agent = play.start(custom(files(ONE, "/dev/disk")))
        await play.listed(ONE, 1)
        await play.given(ONE)
        await agent.reload(**custom(files(ONE, "/dev/disk"), files(OTHER, "/dev/disk[12]")))
        await play.kubelet.until(lambda: len(play.health(OTHER)) == 2)
        await play.refuses(OTHER)


async def test_parts_of_a_disk_go_to_different_pods() -> None:
    """A part beside a part is nobody's loss: not everything below a disk is one."""
    async with backends_stage() as play:
        disk(play, parts=2)
        play.start(custom(files(OTHER, "/dev/disk[12]")))
        await play.listed(OTHER, 2)
        pods, _ = await play.rest(OTHER)
        assert len(pods) == 2
