"""Errors that the driver tells of reach the kubelet, and no device that they do not concern."""

from collections.abc import Mapping
from typing import Any

import grpc.aio
import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from support.nvml_host import NvmlHost, slice_uuid, uuid
from support.nvml_stage import Play, served
from support.nvml_state import DOUBLE_BIT, LOST

SHARED = {"resource": "nvidia.com/gpu", "replicas": 4}
LASTING = {"health": {"holdOffSeconds": 3600}}
# DESIGN: from the driver's event to the new list at the kubelet.
PROMISE_SECONDS = 0.050


async def best_delay(host: NvmlHost, play: Play) -> float:
    """Return the least of five delays from an event to the kubelet's list: load is not ours."""
    delays = []
    for number in range(5):
        host.tell(number, 79)
        await play.sick(*map(uuid, range(number + 1)), of=8)
        returned = float(host.state.event_returned_ns) / 1e9
        delays.append(play.last_list_at() - returned)
    return min(delays)


async def test_an_xid_reaches_the_kubelet_in_time(eight: NvmlHost) -> None:
    """A pod that is placed meanwhile would fail."""
    async with served(eight, **LASTING) as play:
        await play.sick(of=8)
        assert await best_delay(eight, play) < PROMISE_SECONDS


async def test_an_xid_of_one_gpu_concerns_no_other_and_heals(eight: NvmlHost) -> None:
    """The kubelet gets one list for the fault and one for its end."""
    async with served(eight, health={"holdOffSeconds": 0.2}) as play:
        await play.sick(of=8)
        eight.tell(5, 79)
        await play.sick(uuid(5), of=8)
        await play.sick(of=8)
        assert len(play.kubelet.journal.of("list")) == 3


async def test_all_replicas_of_the_gpu_are_sick(eight: NvmlHost) -> None:
    """They are the same silicon; and there is one list for all of them."""
    async with served(eight, SHARED, **LASTING) as play:
        await play.sick(of=32)
        eight.tell(2, 79)
        await play.sick(*(f"{uuid(2)}::{n}" for n in range(4)), of=32)
        assert len(play.kubelet.journal.of("list")) == 2


async def test_a_gpu_whose_events_cannot_be_asked_for_keeps_nobody_from_those_of_others(
    eight: NvmlHost,
) -> None:
    """The driver hangs in that call."""
    eight.fault("nvmlDeviceRegisterEvents", 3, hang=True)
    async with served(eight, **LASTING) as play:
        await play.sick(of=8)
        eight.tell(5, 79)
        await play.sick(uuid(5), of=8)


async def test_a_gpu_that_hangs_with_its_event_keeps_nobody_from_those_of_others(
    eight: NvmlHost,
) -> None:
    """Nobody asks it who it is."""
    async with served(eight, **LASTING) as play:
        await play.sick(of=8)
        eight.tell(4, 79)
        await play.sick(uuid(4), of=8)
        eight.fault("nvmlDeviceGetUUID", 3, hang=True)
        eight.tell(3, 79)
        eight.tell(5, 79)
        await play.sick(uuid(3), uuid(4), uuid(5), of=8)


@pytest.mark.parametrize(
    ("place", "sick"),
    [
        ({"instance": 2, "compute_instance": 0}, {1}),
        ({"instance": 2}, {1}),
        ({}, {0, 1, 2}),
        ({"instance": 7, "compute_instance": 0}, {0, 1, 2}),
    ],
    ids=["compute instance", "GPU instance", "GPU", "unknown instance"],
)
async def test_an_xid_of_a_slice_concerns_no_other(
    eight: NvmlHost, place: Mapping[str, Any], sick: set[int]
) -> None:
    """Slices are isolated from each other, unless the whole GPU is at fault."""
    eight.cut(0, "1g.5gb", "1g.5gb", "1g.5gb")
    resource = "nvidia.com/mig-1g.5gb"
    async with served(eight, migStrategy="mixed", **LASTING) as play:
        await play.sick(of=3, resource=resource)
        eight.tell(0, 95, **place)
        await play.sick(*(slice_uuid(0, n) for n in sick), of=3, resource=resource)
        await play.sick(of=7)


async def test_a_gpu_served_as_a_whole_is_as_sick_as_a_part_of_it(eight: NvmlHost) -> None:
    """MIG may be on while the strategy is none."""
    eight.cut(0, "1g.5gb")
    async with served(eight, **LASTING) as play:
        await play.sick(of=8)
        eight.tell(0, 95, instance=1, compute_instance=0)
        await play.sick(uuid(0), of=8)


async def test_every_stream_is_told(eight: NvmlHost) -> None:
    """A kubelet's old stream takes no message away from its new one."""
    async with served(eight, **LASTING) as play:
        await play.sick(of=8)
        async with grpc.aio.insecure_channel(f"unix:{play.socket()}") as channel:
            stream = api_grpc.DevicePluginStub(channel).ListAndWatch(api.Empty())
            first = await anext(aiter(stream))
            eight.tell(1, 79)
            second = await anext(aiter(stream))
            await play.sick(uuid(1), of=8)
        assert [len(unhealthy(each)) for each in (first, second)] == [0, 1]


def unhealthy(message: api.ListAndWatchResponse) -> list[str]:
    return [device.ID for device in message.devices if device.health != "Healthy"]


async def test_a_memory_error_that_is_told_as_such_counts(eight: NvmlHost) -> None:
    """Old GPUs tell of it without an XID."""
    async with served(eight, **LASTING) as play:
        await play.sick(of=8)
        eight.tell(3, 0, kind=DOUBLE_BIT)
        await play.sick(uuid(3), of=8)


async def test_an_event_of_nobody_condemns_nobody(eight: NvmlHost) -> None:
    """Each GPU is looked at, and only the one that does not answer is sick."""
    async with served(eight, health={"pollSeconds": 60}) as play:
        await play.sick(of=8)
        eight.state.gpus[6].error = LOST
        eight.tell(99, 79)
        await play.sick(uuid(6), of=8)


async def test_events_of_others_are_heard_while_one_gpu_is_lost(eight: NvmlHost) -> None:
    """NVML's wait fails as soon as any registered GPU is lost."""
    async with served(eight, **LASTING) as play:
        await play.sick(of=8)
        eight.state.gpus[0].error = LOST
        eight.state.wait_error = LOST
        await play.sick(uuid(0), of=8)
        eight.state.wait_error = 0
        eight.tell(7, 79)
        await play.sick(uuid(0), uuid(7), of=8)


async def test_a_gpu_without_events_is_served(eight: NvmlHost) -> None:
    """It is left to the looks."""
    eight.state.gpus[4].eventless = 1
    async with served(eight) as play:
        await play.sick(of=8)
        eight.state.gpus[4].error = LOST
        await play.sick(uuid(4), of=8)
