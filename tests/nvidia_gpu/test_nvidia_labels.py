"""Labels of the node are those of NVIDIA's GPU feature discovery."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from nodeplug.backend import Offered
from nodeplug.offers import OfferRule, make_offers
from support.nvml_host import GPU, NvmlHost

NODE = {
    "cuda.driver-version.full": "550.54.15",
    "cuda.driver-version.major": "550",
    "cuda.driver-version.minor": "54",
    "cuda.driver-version.revision": "15",
    "cuda.driver.major": "550",
    "cuda.driver.minor": "54",
    "cuda.driver.rev": "15",
    "cuda.runtime-version.full": "12.4",
    "cuda.runtime-version.major": "12",
    "cuda.runtime-version.minor": "4",
    "cuda.runtime.major": "12",
    "cuda.runtime.minor": "4",
    "gpu.compute.major": "8",
    "gpu.compute.minor": "0",
    "gpu.family": "ampere",
    "gpu.machine": "DGX-A100",
    "gpu.mode": "compute",
    "mig.capable": "true",
    "mps.capable": "false",
    "vgpu.present": "false",
}
GPUS = {
    "gpu.count": "8",
    "gpu.memory": "40960",
    "gpu.product": "NVIDIA-A100-SXM4-40GB",
    "gpu.replicas": "1",
    "gpu.sharing-strategy": "none",
}


async def labels(host: NvmlHost, *rules: Mapping[str, Any], **keys: Any) -> dict[str, str]:
    """Return the labels under offer rules, without the time of the start."""
    machine = host.folder / "sys/class/dmi/id/product_name"
    machine.parent.mkdir(parents=True)
    machine.write_text("DGX A100\n")
    for number in range(8):
        slot = host.plug(number)
        (slot / "class").write_text("0x030200\n")
    backend = host.backend(**keys)
    async with aclosing(backend.inventories()) as inventories:
        inventory = await anext(inventories)
    offers = make_offers(inventory, [msgspec.convert(rule, OfferRule) for rule in rules])
    offered = {}
    for name, offer in offers.items():
        devices = {each.device.id: each.device for each in offer.devices}
        count = len(offer.devices) // len(devices) if devices else 1
        offered[name] = Offered(offer.native, [*devices.values()], count)
    found = {key.removeprefix("nvidia.com/"): v for key, v in backend.labels(offered).items()}
    assert found.pop("gfd.timestamp", "0").isdigit()
    return found


async def test_whole_gpus(eight: NvmlHost) -> None:
    """The complete set."""
    assert await labels(eight) == NODE | GPUS


async def test_shared_gpus_keep_their_number_and_say_that_they_are_shared(eight: NvmlHost) -> None:
    """Unless their name says it."""
    assert await labels(eight, {"resource": GPU, "replicas": 4}) == NODE | GPUS | {
        "gpu.product": "NVIDIA-A100-SXM4-40GB-SHARED",
        "gpu.replicas": "4",
        "gpu.sharing-strategy": "time-slicing",
    }


async def test_shared_gpus_under_another_name(eight: NvmlHost) -> None:
    """The product is the product."""
    rule = {"resource": GPU, "replicas": 4, "markShared": True}
    shared = {"gpu.replicas": "4", "gpu.sharing-strategy": "time-slicing"}
    assert await labels(eight, rule) == NODE | GPUS | shared


SLICE = {
    "multiprocessors": "42",
    "slices.gi": "3",
    "slices.ci": "3",
    "engines.copy": "3",
    "engines.decoder": "0",
    "engines.encoder": "0",
    "engines.jpeg": "0",
    "engines.ofa": "0",
    "memory": "20480",
    "product": "NVIDIA-A100-SXM4-40GB-MIG-3g.20gb",
    "replicas": "1",
    "sharing-strategy": "none",
}


async def test_slices_of_one_profile(eight: NvmlHost) -> None:
    """They stand for GPUs."""
    for number in range(8):
        eight.cut(number, "3g.20gb", "3g.20gb")
    slices = {f"gpu.{key}": value for key, value in SLICE.items()}
    assert await labels(eight, migStrategy="single") == NODE | slices | {
        "gpu.count": "16",
        "mig.strategy": "single",
    }


async def test_slices_beside_gpus(eight: NvmlHost) -> None:
    """Each profile has labels of its own."""
    eight.cut(0, "3g.20gb")
    slices = {f"mig-3g.20gb.{key}": value for key, value in SLICE.items()}
    assert await labels(eight, migStrategy="mixed") == NODE | GPUS | slices | {
        "mig-3g.20gb.count": "1",
        "mig.strategy": "mixed",
    }


async def test_gpus_that_are_all_given_as_slices(eight: NvmlHost) -> None:
    """They are counted all the same, and nobody shares them."""
    for number in range(8):
        eight.cut(number, "3g.20gb")
    slices = {f"mig-3g.20gb.{key}": value for key, value in SLICE.items()}
    assert await labels(eight, migStrategy="mixed") == NODE | GPUS | slices | {
        "gpu.replicas": "0",
        "mig-3g.20gb.count": "8",
        "mig.strategy": "mixed",
    }


@pytest.mark.parametrize(
    "cut",
    [
        {0: ["3g.20gb"]},
        {number: ["3g.20gb"] if number else [] for number in range(8)},
        {number: ["3g.20gb", "2g.10gb"] for number in range(8)},
    ],
    ids=["gpu", "empty", "profiles"],
)
async def test_what_does_not_fit_single(eight: NvmlHost, cut: Mapping[int, list[str]]) -> None:
    """A node of which nobody can say what it has is one that has nothing."""
    for number, profiles in cut.items():
        eight.cut(number, *profiles)
    assert await labels(eight, migStrategy="single") == NODE | {
        "gpu.count": "0",
        "gpu.memory": "0",
        "gpu.product": "NVIDIA-A100-SXM4-40GB-MIG-INVALID",
        "gpu.replicas": "0",
        "gpu.sharing-strategy": "",
        "mig.strategy": "single",
    }


async def test_a_slice_with_media_engines_is_named_as_its_resource(eight: NvmlHost) -> None:
    """A plus is no letter of labels."""
    eight.cut(0, "1g.5gb+me")
    found = await labels(eight, migStrategy="mixed")
    assert found["mig-1g.5gb.me.product"] == "NVIDIA-A100-SXM4-40GB-MIG-1g.5gb.me"


async def test_what_the_driver_does_not_know_has_no_label(eight: NvmlHost) -> None:
    """It is not 0."""
    for function in ("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetCudaComputeCapability"):
        eight.fault(function, error=3)
    eight.fault("nvmlSystemGetDriverVersion", error=999)
    eight.fault("nvmlDeviceGetVirtualizationMode", 5, error=999)
    found = await labels(eight)
    lost = ("memory", "compute", "family", "driver", "vgpu")
    unknown = {key for key in NODE | GPUS if any(each in key for each in lost)}
    assert found == {k: v for k, v in (NODE | GPUS).items() if k not in unknown}


async def test_a_blank_is_one_dash(eight: NvmlHost) -> None:
    """However many there are."""
    for number in range(8):
        eight.state.gpus[number].name = b"NVIDIA  A100  -  40GB"
    assert (await labels(eight))["gpu.product"] == "NVIDIA-A100---40GB"


@pytest.mark.parametrize("strategy", ["none", "mixed"])
async def test_of_several_models_the_most_frequent_is_named(eight: NvmlHost, strategy: str) -> None:
    """The same one at every start; what is counted is of that model."""
    for number in range(3):
        eight.add(number, "Tesla T4", 15)
    found = await labels(eight, migStrategy=strategy)
    assert found.pop("mig.strategy", "none") == strategy
    assert found == NODE | GPUS | {"gpu.count": "5"}


async def test_slices_of_several_models_are_counted_by_model(eight: NvmlHost) -> None:
    """As whole GPUs are."""
    for number in range(8):
        if number < 3:
            eight.add(number, "NVIDIA H100", 80)
        eight.cut(number, "3g.20gb")
    found = await labels(eight, migStrategy="mixed")
    assert (found["gpu.product"], found["gpu.count"]) == ("NVIDIA-A100-SXM4-40GB", "5")


async def test_a_fabric_is_named(eight: NvmlHost) -> None:
    """Pods of one job belong into one clique."""
    for number in range(8):
        gpu = eight.state.gpus[number]
        gpu.fabric_state, gpu.clique = 3, 7
        gpu.cluster[:] = range(16)
    eight.state.gpus[7].fabric_state = 1  # not attached
    clique = {"gpu.clique": "00010203-0405-0607-0809-0a0b0c0d0e0f.7"}
    assert await labels(eight) == NODE | GPUS | clique


async def test_without_gpus_there_are_no_labels(bare: NvmlHost) -> None:
    """A node whose driver is gone is not taken for one that has it."""
    assert await labels(bare) == {}
