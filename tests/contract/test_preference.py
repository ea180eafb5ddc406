"""C15 for lists so long that a preference takes its time."""

import asyncio
import threading

import grpc.aio
import pytest

from nodeplug.kubelet import service
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.offers import OfferRule
from nodeplug.placement import prefer as placement
from support.stage import BOARD, Stage, stage

IDS = [f"awk-board-{n}" for n in range(4)]


async def prefer(play: Stage, size: int) -> list[str]:
    request = api.ContainerPreferredAllocationRequest(available_deviceIDs=IDS, allocation_size=size)
    async with grpc.aio.insecure_channel(f"unix:{play.report().socket}") as channel:
        reply = await api_grpc.DevicePluginStub(channel).GetPreferredAllocation(
            api.PreferredAllocationRequest(container_requests=[request])
        )
    return [*reply.container_responses[0].deviceIDs]


async def test_a_preference_that_may_take_long_leaves_the_event_loop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R43: lists and allocations of other resources must go on."""
    began, may_end = threading.Event(), threading.Event()

    def slow(*_: object) -> list[str]:
        began.set()
        return IDS[:2] if may_end.wait(10) else []

    monkeypatch.setattr(placement, "prefer", slow)
    monkeypatch.setattr(service, "_SHORT", 3)
    async with stage(agents=0) as play:
        play.rules = [OfferRule(resource=BOARD, policy="aligned")]
        play.start_agent()
        await play.listed(allocatable=4)
        asked = asyncio.create_task(prefer(play, 2))
        assert await asyncio.to_thread(began.wait, 10)
        may_end.set()
        assert await asked == IDS[:2]


async def test_a_preference_that_fails_leaves_the_choice_to_the_kubelet(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R50: an error would fail the pod, for a wish of ours."""

    def fail(*_: object) -> list[str]:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(placement, "prefer", fail)
    async with stage(agents=0) as play:
        play.rules = [OfferRule(resource=BOARD, policy="aligned")]
        play.start_agent()
        await play.listed(allocatable=4)
        assert await prefer(play, 2) == []
