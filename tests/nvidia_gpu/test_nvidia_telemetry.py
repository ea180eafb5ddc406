"""What is measured of GPUs."""

import asyncio
from contextlib import aclosing

import pytest

from nodeplug.backend import Measurement
from nodeplug.host.fallbacks import fallbacks
from nodeplug.testing.patience import patience
from nodeplug_nvidia_gpu.backend import NvidiaGpuBackend
from support.nvml_host import NvmlHost, reasons, slice_uuid, until, uuid, watching
from support.nvml_state import LOST

OTHERS = {uuid(number) for number in range(8) if number != 3}


async def measured(backend: NvidiaGpuBackend) -> dict[tuple[str, str], float]:
    async with patience(5), aclosing(backend.inventories()) as inventories:
        await anext(inventories)
        found = await backend.measure()
    assert all(isinstance(each, Measurement) for each in found)
    return {(each.device, each.quantity): each.value for each in found}


async def test_a_gpu_is_measured_in_the_units_of_prometheus(eight: NvmlHost) -> None:
    """Watts, bytes, and shares of one."""
    eight.state.gpus[3].used = 5 << 30
    eight.state.gpus[3].uncorrectable = 2
    found = await measured(eight.backend())
    assert {
        quantity: value for (device, quantity), value in found.items() if device == uuid(3)
    } == {
        "temperature_celsius": 33,
        "power_watts": 50,
        "memory_used_bytes": 5 << 30,
        "memory_size_bytes": 40 << 30,
        "utilization_ratio": 0.25,
        "errors_total": 2,
    }
    assert len({device for device, _ in found}) == 8


async def test_a_slice_is_measured_as_far_as_it_can_be(eight: NvmlHost) -> None:
    """The driver knows the memory of slices, and no utilization of a GPU in slices."""
    eight.cut(0, "3g.20gb")
    found = await measured(eight.backend(migStrategy="mixed"))
    assert found[(slice_uuid(0, 0), "memory_size_bytes")] == 20 << 30
    assert (uuid(0), "utilization_ratio") not in found


async def test_a_lost_gpu_is_left_out(eight: NvmlHost) -> None:
    """The others are measured."""
    eight.state.gpus[1].error = LOST
    found = await measured(eight.backend())
    assert {device for device, _ in found} == {uuid(n) for n in range(8) if n != 1}


async def test_questions_do_not_pile_up_behind_a_call_that_hangs(eight: NvmlHost) -> None:
    """Whoever asks gives up, and the answer comes when the driver does."""
    backend = eight.backend()
    async with watching(backend) as inventories:
        await anext(inventories)
        fault = eight.fault("nvmlDeviceGetCount", hang=True)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await backend.measure()
        assert eight.state.hanging == 1
        fault.hang = 0
        assert await backend.measure()


async def test_a_gpu_that_hangs_when_it_is_measured_keeps_nobody_from_the_others(
    eight: NvmlHost,
) -> None:
    """They are measured and looked at, and whoever watches the agent is told."""
    fault = eight.fault("nvmlDeviceGetPowerUsage", 3, hang=True)
    backend = eight.backend()
    async with watching(backend) as inventories:
        await anext(inventories)
        for _ in range(2):
            assert {each.device for each in await backend.measure()} == OTHERS
        eight.state.gpus[5].error = LOST
        assert reasons(await until(inventories, lambda each: bool(reasons(each)))).keys() == {
            uuid(5)
        }
        while "nvidia_gpu GPU 3" not in fallbacks():  # noqa: ASYNC110 - nobody announces them
            await asyncio.sleep(0.01)
        fault.hang = 0
        while uuid(3) not in {each.device for each in await backend.measure()}:
            pass


async def test_nothing_is_measured_before_the_first_look(bare: NvmlHost) -> None:
    """And nothing fails."""
    assert await bare.backend().measure() == []
