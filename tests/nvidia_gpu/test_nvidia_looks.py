"""What the driver tells of only when it is asked."""

import time

import pytest

from nodeplug.host.fallbacks import fallbacks
from nodeplug_nvidia_gpu.facts import Pulse
from nodeplug_nvidia_gpu.looking import Looker
from nodeplug_nvidia_gpu.nvml_driver import NvmlDriver
from nodeplug_nvidia_gpu.settings import HealthSettings
from support.nvml_host import NvmlHost, reasons, settings, slice_uuid, until, uuid, watching
from support.nvml_stage import served
from support.nvml_state import LOST, NO_INSTANCE
from support.timed import on_this_machine, timed


@timed
async def test_a_gpu_lost_in_silence_is_noticed_within_five_seconds(eight: NvmlHost) -> None:
    """With the settings that operators get."""
    async with served(eight, health={"pollSeconds": HealthSettings().poll_seconds}) as play:
        await play.sick(of=8)
        eight.state.gpus[1].error = LOST
        lost_at = time.monotonic()
        await play.sick(uuid(1), of=8)
        assert play.last_list_at() - lost_at < on_this_machine(5)


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("error", 15, "lost: it has fallen off the bus or does not answer"),
        ("error", 999, "the driver cannot ask it: Unknown Error"),
        ("error", 16, "the driver cannot ask it: GPU requires restart"),
        ("remapped", (0, 1, 1, 0), "remapped memory rows wait for a reset"),
        ("remapped", (0, 1, 0, 1), "a memory row could not be remapped"),
        ("recovery_action", 1, "the driver asks for a reset of the GPU"),
        ("recovery_action", 2, "the driver asks for a restart of the node"),
        ("recovery_action", 4, "the driver asks to drain and reset the GPU"),
        ("uncorrectable", 2, "uncorrectable memory errors: 2 more"),
        ("present", 0, "the driver does not list it"),
    ],
)
async def test_what_is_wrong_is_told_of_that_gpu_alone(
    eight: NvmlHost, field: str, value: object, reason: str
) -> None:
    """In words that tell the operator what to do."""
    lasting = {"holdOffSeconds": 3600}
    async with watching(eight.backend(health=lasting)) as inventories:
        await anext(inventories)
        current = getattr(eight.state.gpus[3], field)
        if isinstance(value, tuple):
            current[:] = value
        else:
            setattr(eight.state.gpus[3], field, value)
        sick = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(sick) == {uuid(3): reason}


async def test_it_is_well_again_when_the_cause_is_gone(eight: NvmlHost) -> None:
    """Without a restart."""
    async with watching(eight.backend()) as inventories:
        before = await anext(inventories)
        eight.state.gpus[3].error = LOST
        await until(inventories, lambda inventory: bool(reasons(inventory)))
        eight.state.gpus[3].error = 0
        assert await until(inventories, lambda inventory: not reasons(inventory)) == before


async def test_errors_from_before_the_start_condemn_nobody(eight: NvmlHost) -> None:
    """The driver counts since it was loaded."""
    eight.state.gpus[3].uncorrectable = 5
    assert reasons(await eight.inventory()) == {}


async def test_a_cause_that_the_operator_ignores_condemns_nobody(eight: NvmlHost) -> None:
    """For GPUs that report what is not so."""
    eight.state.gpus[3].recovery_action = 1
    assert reasons(await eight.inventory(health={"ignore": ["recovery"]})) == {}


async def test_a_lost_gpu_takes_its_slices_along(eight: NvmlHost) -> None:
    """And those of no other."""
    for gpu in (0, 1):
        eight.cut(gpu, "3g.20gb", "3g.20gb")
    async with watching(eight.backend(migStrategy="mixed")) as inventories:
        await anext(inventories)
        eight.state.gpus[1].error = LOST
        sick = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert {*reasons(sick)} == {slice_uuid(1, 0), slice_uuid(1, 1)}


async def test_a_lost_gpu_disturbs_no_allocation_of_others(eight: NvmlHost) -> None:
    """Nor the choice among them."""
    rule = {"resource": "nvidia.com/gpu", "policy": "aligned"}
    async with served(eight, rule) as play:
        await play.sick(of=8)
        eight.state.gpus[0].error = LOST
        await play.sick(uuid(0), of=8)
        run = await play.admit(7)
        assert run.envs["NVIDIA_VISIBLE_DEVICES"] == ",".join(map(uuid, range(1, 8)))


async def test_a_gpu_that_fails_at_the_start_leaves_the_others_alone(eight: NvmlHost) -> None:
    """One bad card does not idle the node."""
    eight.state.gpus[2].error = 999
    inventory = await eight.inventory()
    assert len(inventory.devices) == 7
    assert reasons(inventory) == {}


@pytest.mark.parametrize("error", [4, 10, 999])
@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetName",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetCudaComputeCapability",
        "nvmlDeviceGetVirtualizationMode",
        "nvmlDeviceGetPciInfo",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetGpuFabricInfoV",
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetCudaDriverVersion",
    ],
)
async def test_what_nobody_needs_costs_no_gpu(eight: NvmlHost, function: str, error: int) -> None:
    """Each fact by itself, at the start and later."""
    async with watching(eight.backend()) as inventories:
        before = await anext(inventories)
        fault = eight.fault(function, 1, error=error)
        eight.state.gpus[2].error = LOST
        later = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(later).keys() == {uuid(2)}
    assert later.devices[uuid(1)] == before.devices[uuid(1)]
    eight.state.gpus[2].error = 0
    fault.gpu = NO_INSTANCE
    started = await eight.inventory()
    assert (len(started.devices), reasons(started)) == (8, {})


async def test_a_gpu_that_says_nothing_that_any_can_say_is_lost(eight: NvmlHost) -> None:
    """Although it has a temperature."""
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        for function in ("nvmlDeviceGetPciInfo", "nvmlDeviceGetMemoryInfo"):
            eight.fault(function, 3, error=999)
        sick = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(sick) == {uuid(3): "the driver cannot ask it: Unknown Error"}


@pytest.mark.parametrize("error", [2, 4, 8, 14, 15, 16, 999])
async def test_a_gpu_that_cannot_be_had_is_lost_alone(eight: NvmlHost, error: int) -> None:
    """At the start nobody knows who it is."""
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        eight.fault("nvmlDeviceGetHandleByIndex", 3, error=error)
        sick = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(sick).keys() == {uuid(3)}
    started = await eight.inventory()
    assert (len(started.devices), reasons(started)) == (7, {})
    assert [*started.left_out] == ["GPU 3"]


async def test_a_fact_that_was_not_told_at_the_start_is_asked_for_again(eight: NvmlHost) -> None:
    """And told of until it is known."""
    fault = eight.fault("nvmlDeviceGetMemoryInfo", 3, error=999)
    async with watching(eight.backend()) as inventories:
        assert not (await anext(inventories)).devices[uuid(3)].capacity
        fault.error = 0
        known = await until(inventories, lambda each: bool(each.devices[uuid(3)].capacity))
    assert known.devices[uuid(3)].attributes["memory"] == 40


async def test_a_gpu_that_hangs_at_the_start_leaves_the_others_alone(eight: NvmlHost) -> None:
    """It is there as soon as it answers."""
    fault = eight.fault("nvmlDeviceGetName", 3, hang=True)
    async with watching(eight.backend()) as inventories:
        first = await anext(inventories)
        assert (len(first.devices), reasons(first)) == (7, {})
        assert first.left_out == {"GPU 3": "it does not answer"}
        fault.hang = 0
        assert len((await until(inventories, lambda each: len(each.devices) == 8)).devices) == 8


async def test_whoever_watches_the_agent_is_told_of_a_gpu_that_hangs(eight: NvmlHost) -> None:
    """As long as it does, and no longer than there is a backend."""
    fault = eight.fault("nvmlDeviceGetTemperature", 3, hang=True)
    told = {"nvidia_gpu GPU 3": "a device does not answer: calls of the driver hang"}
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        assert fallbacks() == told
        fault.hang = 0
        await until(inventories, lambda each: len(each.devices) == 8)
        assert not fallbacks()
        fault.hang = 1
        await until(inventories, lambda each: bool(reasons(each)))
        assert fallbacks() == told
    assert not fallbacks()


@timed
async def test_nobody_waits_for_a_gpu_that_hangs(eight: NvmlHost) -> None:
    """Events of the others are told at once."""
    lasting = {"holdOffSeconds": 3600, "pollSeconds": HealthSettings().poll_seconds}
    async with served(eight, health=lasting) as play:
        await play.sick(of=8)
        fault = eight.fault("nvmlDeviceGetTemperature", 3, hang=True)
        sick, delays = [uuid(3)], []
        await play.sick(*sick, of=8)
        for gpu in (0, 1, 2, 4, 5, 6, 7):
            told_at = time.monotonic()
            eight.tell(gpu, 79)
            sick.append(uuid(gpu))
            await play.sick(*sick, of=8)
            delays.append(play.last_list_at() - told_at)
        fault.hang = 0
    assert max(delays) < on_this_machine(0.100)


def test_a_look_that_shows_nothing_new_asks_each_gpu_ten_questions_at_most(
    eight: NvmlHost,
) -> None:
    """Each may be a call of the driver, every three seconds, for ever."""
    looker = Looker(NvmlDriver(eight.host.root, settings()), lambda _: True)
    looker.look()
    before = eight.state.calls
    looker.look()
    looker.close()
    assert eight.state.calls - before <= 8 * 10


@pytest.mark.parametrize("garbage", [b"", b"GPU-\xff\xfe", b"GPU-" + b"x" * 80, b"GPU-a\nb", b"::"])
async def test_a_gpu_with_a_garbled_id_leaves_the_others_alone(
    eight: NvmlHost, garbage: bytes
) -> None:
    """It cannot be named to anybody, so it is not served."""
    eight.state.gpus[2].uuid = garbage
    inventory = await eight.inventory()
    assert len(inventory.devices) == 7
    assert reasons(inventory) == {}


async def test_of_gpus_with_one_uuid_the_one_that_had_it_keeps_it(eight: NvmlHost) -> None:
    """A container that asks for it must not get the node of another."""
    async with watching(eight.backend(passDeviceSpecs=True)) as inventories:
        before = await anext(inventories)
        eight.state.gpus[2].uuid = uuid(5).encode()
        odd = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(odd).keys() == {uuid(2)}
    assert odd.devices[uuid(5)] == before.devices[uuid(5)]


async def test_of_gpus_with_one_uuid_at_the_start_one_is_left_out(eight: NvmlHost) -> None:
    """Nobody can tell which of them it is; the others are served."""
    eight.state.gpus[2].uuid = uuid(5).encode()
    inventory = await eight.inventory()
    assert (len(inventory.devices), reasons(inventory)) == (7, {})
    assert "is another GPU's, too" in inventory.left_out["GPU 5"]


@pytest.mark.parametrize("code", [1, 9, 18])
async def test_a_gpu_that_answers_like_a_driver_that_is_gone_blinds_no_other(
    eight: NvmlHost, code: int
) -> None:
    """Uninitialized, not loaded, of another version: the driver itself still counts its GPUs."""
    async with watching(eight.backend()) as inventories:
        await anext(inventories)
        eight.state.gpus[3].error = code
        sick = await until(inventories, lambda inventory: bool(reasons(inventory)))
    assert reasons(sick).keys() == {uuid(3)}


async def test_a_gpu_whose_answers_cannot_be_worked_out_is_left_out_alone(
    eight: NvmlHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours, or of the library, about one of them."""
    pulse = NvmlDriver.pulse

    def odd(driver: NvmlDriver, index: int) -> Pulse:
        if index == 2:
            raise TypeError("a mistake of ours")
        return pulse(driver, index)

    monkeypatch.setattr(NvmlDriver, "pulse", odd)
    inventory = await eight.inventory()
    assert (len(inventory.devices), reasons(inventory)) == (7, {})
    assert [*inventory.left_out] == ["GPU 2"]
