"""MIG slices under each strategy, and what one odd GPU does to the others: nothing."""

from collections import Counter

import pytest

from nodeplug.values.inventory import Inventory
from nodeplug_nvidia_gpu.nvml import RESET_REQUIRED
from support.nvml_host import GPU, NvmlHost, reasons, slice_uuid, until, uuid, watching
from support.nvml_state import LOST

ODD_PROFILE = "its profile 3g.20gb is not 1g.5gb, that of the node's other slices"


def resources(inventory: Inventory) -> dict[str, int]:
    return dict(Counter(device.resource for device in inventory.devices.values()))


async def test_without_a_strategy_gpus_are_whole(eight: NvmlHost) -> None:
    """MIG or not."""
    eight.cut(0, "1g.5gb", "1g.5gb")
    assert resources(await eight.inventory()) == {GPU: 8}


@pytest.mark.parametrize(
    ("profile", "resource"),
    [
        ("1g.5gb", "mig-1g.5gb"),
        ("1g.10gb", "mig-1g.10gb"),
        ("2g.10gb", "mig-2g.10gb"),
        ("3g.20gb", "mig-3g.20gb"),
        ("4g.20gb", "mig-4g.20gb"),
        ("7g.40gb", "mig-7g.40gb"),
        ("7g.80gb", "mig-7g.80gb"),
        ("1g.5gb+me", "mig-1g.5gb.me"),
        ("1g.5gb+me.all", "mig-1g.5gb.me.all"),
        ("1g.24gb+gfx", "mig-1g.24gb.gfx"),
        ("1g.24gb-me", "mig-1g.24gb-me"),
        ("1c.3g.20gb", "mig-1c.3g.20gb"),
    ],
)
async def test_mixed_slices_are_named_for_their_profile(
    eight: NvmlHost, profile: str, resource: str
) -> None:
    """As with NVIDIA's plugin."""
    eight.cut(0, profile)
    found = await eight.inventory(migStrategy="mixed")
    assert resources(found) == {GPU: 7, f"nvidia.com/{resource}": 1}


@pytest.mark.parametrize(
    ("gib", "slices", "mebibytes", "profile"),
    [(40, 1, 4864, "1g.5gb"), (40, 3, 19968, "3g.20gb"), (80, 7, 81050, "7g.80gb")],
)
async def test_a_slice_whose_name_says_nothing_is_named_for_its_share(
    eight: NvmlHost, gib: int, slices: int, mebibytes: int, profile: str
) -> None:
    """Of compute units and of memory, in eighths."""
    eight.add(0, gib=gib)
    eight.cut(0, "1g.5gb")
    part = eight.state.gpus[0].slices[0]
    part.name, part.gpu_slices, part.compute_slices = b"slice", slices, slices
    part.memory_mb = mebibytes
    found = (await eight.inventory(migStrategy="mixed")).devices[slice_uuid(0, 0)]
    assert found.attributes["profile"] == profile


async def test_slices_know_their_gpu_and_their_place_in_it(eight: NvmlHost) -> None:
    """Operators choose and quarantine by them."""
    eight.cut(0, "1g.5gb", "3g.20gb")
    found = (await eight.inventory(migStrategy="mixed")).devices[slice_uuid(0, 1)]
    assert found.parent == uuid(0)
    wanted = ("index", "migIndex", "nvmlIndex", "gpuInstance", "computeInstance", "memory")
    assert [found.attributes[name] for name in wanted] == [0, 1, "0:1", 2, 0, 20]


async def test_single_slices_stand_for_gpus(eight: NvmlHost) -> None:
    """All of one profile."""
    for number in range(8):
        eight.cut(number, "3g.20gb", "3g.20gb")
    found = await eight.inventory(migStrategy="single")
    assert resources(found) == {GPU: 16}
    assert reasons(found) == {}


async def test_single_without_slices_is_whole_gpus(eight: NvmlHost) -> None:
    """A node without MIG."""
    found = await eight.inventory(migStrategy="single")
    assert (resources(found), reasons(found)) == ({GPU: 8}, {})


async def test_an_odd_profile_is_not_handed_out(eight: NvmlHost) -> None:
    """Nobody gets a slice of another size than the node's; the others are served."""
    eight.cut(0, "1g.5gb", "1g.5gb", "3g.20gb")
    for number in range(1, 8):
        eight.cut(number, "1g.5gb")
    found = await eight.inventory(migStrategy="single")
    assert reasons(found) == {slice_uuid(0, 2): ODD_PROFILE}


async def test_a_gpu_without_mig_is_odd_among_slices(eight: NvmlHost) -> None:
    """It is much more than what the resource's other devices are."""
    for number in range(1, 8):
        eight.cut(number, "1g.5gb")
    found = await eight.inventory(migStrategy="single")
    assert reasons(found) == {uuid(0): "MIG is off, unlike on other GPUs of the node"}


@pytest.mark.parametrize("strategy", ["single", "mixed"])
async def test_an_empty_gpu_concerns_no_other(eight: NvmlHost, strategy: str) -> None:
    """MIG is on, and nobody has made slices yet."""
    eight.cut(0)
    for number in range(1, 8):
        eight.cut(number, "1g.5gb")
    found = await eight.inventory(migStrategy=strategy)
    assert len(found.devices) == 7
    assert reasons(found) == {}


async def test_a_slice_with_a_garbled_id_concerns_no_other(eight: NvmlHost) -> None:
    """It cannot be named to anybody."""
    eight.cut(0, "1g.5gb", "1g.5gb")
    eight.state.gpus[0].slices[0].uuid = b"MIG-\xff"
    found = await eight.inventory(migStrategy="mixed")
    assert slice_uuid(0, 1) in found.devices
    assert len(found.devices) == 8


async def test_ids_of_old_drivers_are_served(eight: NvmlHost) -> None:
    """They have slashes, which no device id may have; the runtime gets them as they are."""
    eight.cut(0, "1g.5gb")
    old = "MIG-GPU-00000000-1111-2222-3333-444444444444/1/0"
    eight.state.gpus[0].slices[0].uuid = old.encode()
    backend = eight.backend(migStrategy="mixed")
    inventory = await eight.inventory(migStrategy="mixed")
    device = inventory.devices[old.replace("/", ":")]
    edits = await backend.allocate(device.resource, [device])
    assert edits.envs["NVIDIA_VISIBLE_DEVICES"] == old


SHAPE = (
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
)


@pytest.mark.parametrize("error", [4, 10, 999])
@pytest.mark.parametrize("function", SHAPE)
async def test_what_a_gpu_was_given_as_stands_while_it_cannot_be_told(
    eight: NvmlHost, function: str, error: int
) -> None:
    """Slices that pods have must not become a whole GPU; at a start nobody knows what it is."""
    eight.cut(1, "3g.20gb", "3g.20gb")
    async with watching(eight.backend(migStrategy="mixed")) as inventories:
        before = await anext(inventories)
        eight.fault(function, 1, error=error)
        eight.state.gpus[2].error = LOST
        later = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(later).keys() == {uuid(2)}
    assert later.devices.keys() == before.devices.keys()
    eight.state.gpus[2].error = 0
    started = await eight.inventory(migStrategy="mixed")
    assert resources(started) == {GPU: 7}
    assert [*started.left_out] == ["GPU 1"]


@pytest.mark.parametrize("error", [4, 10, 999])
@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetAttributes",
        "nvmlDeviceGetGpuInstanceId",
        "nvmlDeviceGetComputeInstanceId",
        "nvmlDeviceGetName",
    ],
)
async def test_a_fact_of_slices_that_is_not_told_costs_none(
    eight: NvmlHost, function: str, error: int
) -> None:
    """At the start."""
    eight.cut(1, "3g.20gb", "3g.20gb")
    eight.fault(function, 1, error=error)
    found = await eight.inventory(migStrategy="mixed")
    assert resources(found) == {GPU: 7, "nvidia.com/mig-3g.20gb": 2}
    assert not reasons(found)


@pytest.mark.parametrize("strategy", ["mixed", "single"])
async def test_a_slice_of_which_nothing_is_known_has_no_resource(
    eight: NvmlHost, strategy: str
) -> None:
    """It is none of no slices and no memory."""
    eight.cut(1, "3g.20gb")
    eight.state.gpus[1].slices[0].name = b"slice"
    fault = eight.fault("nvmlDeviceGetAttributes", 1, error=999)
    async with watching(eight.backend(migStrategy=strategy)) as inventories:
        assert slice_uuid(1, 0) not in (await anext(inventories)).devices
        fault.error = 0
        await until(inventories, lambda inventory: slice_uuid(1, 0) in inventory.devices)


async def test_a_gpu_without_known_node_is_sick_until_it_is_known(eight: NvmlHost) -> None:
    """It is listed, for all the rest is known."""
    fault = eight.fault("nvmlDeviceGetMinorNumber", 1, error=999)
    async with watching(eight.backend()) as inventories:
        reason = "its minor number, and so its device node, is not known"
        assert reasons(await anext(inventories)) == {uuid(1): reason}
        fault.error = 0
        await until(inventories, lambda inventory: not reasons(inventory))


@pytest.mark.parametrize(
    "function",
    ["nvmlDeviceGetTotalEccErrors", "nvmlDeviceGetRemappedRows", "nvmlDeviceGetMigMode"],
)
async def test_a_gpu_that_waits_for_a_reset_says_so_whatever_it_is_asked(
    eight: NvmlHost, function: str
) -> None:
    """And is listed at a start, if it says what it is."""
    fault = eight.fault(function, 1, error=RESET_REQUIRED)
    known = function != "nvmlDeviceGetMigMode"
    first = await eight.inventory()
    reason = "the driver asks for a reset of the GPU"
    assert reasons(first) == ({uuid(1): reason} if known else {})
    fault.error = 0
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        fault.error = RESET_REQUIRED
        later = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(later) == {uuid(1): reason}
