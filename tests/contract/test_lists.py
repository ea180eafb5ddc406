"""C9 to C13, C18, C22: what the kubelet is told, and when."""

import asyncio
import time
from pathlib import Path

import grpc.aio
import pytest

from kubelets.kinds import Kind
from nodeplug import pool
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.service import LIST_GAP_SECONDS
from nodeplug.testing import Pod, Topology
from support.awkward.state import State
from support.stage import BOARD, EXTRA, SLICE, Stage, stage


def bound(play: Stage) -> Path:
    return min((play.directory / ".nodeplug").glob("*/.*.sock"))


async def test_c09_two_streams_both_see_every_change(kind: Kind) -> None:
    """R24: whoever else listens steals nothing."""
    async with (
        stage(kind=kind) as play,
        grpc.aio.insecure_channel(f"unix:{bound(play)}") as channel,
    ):
        second = api_grpc.DevicePluginStub(channel).ListAndWatch(api.Empty())
        lists = aiter(second)
        first = await anext(lists)
        play.set(State(sick=("awk-board-2",)))
        changed = await anext(lists)
        await play.listed(allocatable=3)
        assert [d.health for d in changed.devices].count("Unhealthy") == 1
        assert {d.ID for d in first.devices} == {d.ID for d in changed.devices}


async def test_c10_the_first_list_is_complete(kind: Kind) -> None:
    """R25: pods are re-admitted meanwhile; an empty first list would reject them."""
    async with stage(kind=kind) as play:
        await play.lists(1)
        await play.kubelet.restart()
        await play.listed(allocatable=4)
        assert await play.lists(2) == [4, 4]


async def test_c11_what_is_listed_is_valid(kind: Kind) -> None:
    """R23, R35: ids, the two words for health, topology either with nodes or not at all."""
    state = State(numa=False, sick=("awk-board-0",))
    async with stage(agents=0, kind=kind) as play:
        play.set(state)
        play.start_agent()
        await play.listed(allocatable=3)
        devices = play.kubelet.table(BOARD)
        assert {d.health for d in devices} == {"Healthy", "Unhealthy"}
        assert all(0 < len(d.ID) <= 63 and d.ID.isprintable() for d in devices)
        assert not any(d.HasField("topology") for d in devices)


async def test_c12_an_allocated_device_that_vanishes_stays_listed(kind: Kind) -> None:
    """R33: with NUMA alignment a kubelet would crash at its restart otherwise."""
    aligned = Topology(policy="best-effort")
    async with stage(kind=kind, topology=aligned) as play:
        pod = Pod.of({BOARD: 4})
        await play.kubelet.admit(pod)
        play.set(State(missing=("awk-board-1",)))
        await play.listed(allocatable=3)
        await play.kubelet.restart(running=False)
        await play.listed(allocatable=3)
        assert play.kubelet.devices(BOARD)["awk-board-1"] == "Unhealthy"


async def test_c12_a_vanished_device_leaves_once_its_pod_is_gone(kind: Kind) -> None:
    """Tombstones end with the evidence of pod resources and of the next checkpoint."""
    async with stage(kind=kind) as play:
        pod = Pod.of({BOARD: 4})
        await play.kubelet.admit(pod)
        play.set(State(missing=("awk-board-1",)))
        await play.listed(allocatable=3)
        await play.kubelet.remove(pod)
        await play.kubelet.admit(Pod.of({SLICE: 1}))
        await play.kubelet.until(lambda: "awk-board-1" not in play.kubelet.devices(BOARD))


async def test_c12_a_device_moved_while_held_is_not_given_away_again(kind: Kind) -> None:
    """One device is healthy in one resource at a time; over an agent's restart too."""
    renamed = f"{BOARD}-renamed"
    async with stage(kind=kind) as play:
        pod = Pod.of({BOARD: 4})
        await play.kubelet.admit(pod)
        play.set(State(renamed=("awk-board-0",)))
        await play.kubelet.until(lambda: play.allocatable(renamed) == 0)
        await play.stop_agent(play.agents[0])
        play.start_agent()
        await play.listed(allocatable=3)
        assert play.allocatable(renamed) == 0
        await play.kubelet.remove(pod)
        await play.listed(renamed, allocatable=1)
        await play.kubelet.admit(Pod.of({renamed: 1}))


async def test_c13_a_list_that_would_not_arrive_is_not_sent(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R22: a message above 4 MiB would zero the resource; the previous list stands."""
    monkeypatch.setattr(pool, "LIST_LIMIT", 4096)
    async with stage(State(extra=10), kind=kind) as play:
        await play.listed(EXTRA, allocatable=10)
        play.set(State(extra=500, sick=("awk-board-0",)))
        await play.listed(allocatable=3)
        assert play.allocatable(EXTRA) == 10


async def test_c18_nothing_is_sent_twice(kind: Kind) -> None:
    """R26: each list costs the kubelet a synchronous write."""
    async with stage(kind=kind) as play:
        for _ in range(5):
            play.set(State())
        play.set(State(sick=("awk-board-0",)))
        await play.listed(allocatable=3)
        assert len(await play.lists(2)) == 2


async def test_c18_a_storm_of_changes_is_coalesced(kind: Kind) -> None:
    """R26: the latest state counts, not each one on the way; two lists have a gap between them."""
    async with stage(kind=kind) as play:
        started = time.monotonic()
        for step in range(100):
            play.set(State(sick=(f"awk-board-{step % 3}",)))
            await asyncio.sleep(0.002)
        play.set(State(sick=("awk-board-0", "awk-board-1")))
        await play.listed(allocatable=2)
        gaps = (time.monotonic() - started) / LIST_GAP_SECONDS
        assert len(play.kubelet.journal.of("list", BOARD)) <= 2 + gaps


async def test_c22_a_request_naming_many_devices_is_taken(kind: Kind) -> None:
    """R51: the kubelet sends as many ids as it has."""
    async with (
        stage(kind=kind) as play,
        grpc.aio.insecure_channel(f"unix:{bound(play)}") as channel,
    ):
        ids = [f"{n:063}" for n in range(80_000)]
        request = api.ContainerPreferredAllocationRequest(
            available_deviceIDs=ids, allocation_size=1
        )
        reply = await api_grpc.DevicePluginStub(channel).GetPreferredAllocation(
            api.PreferredAllocationRequest(container_requests=[request])
        )
        assert len(reply.container_responses) == 1
