"""The embedded kubelet's pod resources, beyond which containers they show."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as device_api
from nodeplug.kubelet.api import podresources_v1_pb2 as api
from nodeplug.kubelet.api import podresources_v1_pb2_grpc as api_grpc
from nodeplug.testing import Pod
from support.scripted import RESOURCE, Scene, scene

H = "Healthy"
ONE = {RESOURCE: 1}
Entry = tuple[str, list[int]]


@asynccontextmanager
async def lister(play: Scene) -> AsyncGenerator["api_grpc.PodResourcesListerAsyncStub"]:
    path = play.directory.with_name("pr.sock")
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        yield api_grpc.PodResourcesListerStub(channel)


def entries(devices: list[api.ContainerDevices]) -> list[Entry]:
    return [(d.device_ids[0], [n.ID for n in d.topology.nodes]) for d in devices]


async def allocatable(play: Scene) -> list[Entry]:
    async with lister(play) as stub:
        reply = await stub.GetAllocatableResources(api.AllocatableResourcesRequest())
    return entries(list(reply.devices))


async def list_devices(play: Scene, *devices: device_api.Device) -> None:
    await play.serve()
    play.plugin.devices = list(devices)
    play.plugin._wake.set()
    await play.reach(len(devices), len(devices))


def on(device_id: str, *nodes: int) -> device_api.Device:
    topology = device_api.TopologyInfo(nodes=[device_api.NUMANode(ID=node) for node in nodes])
    return device_api.Device(ID=device_id, health=H, topology=topology)


async def test_a_kubelet_that_starts_shows_no_pod_before_it_has_heard_of_it() -> None:
    """R47: its empty answer says nothing of devices, and frees none."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        await play.kubelet.stop()
        await play.kubelet.start(ready=False)
        async with lister(play) as stub:
            before = len((await stub.List(api.ListPodResourcesRequest())).pod_resources)
            held = play.kubelet.held(RESOURCE)
            await play.kubelet.readmit(running=True)
            after = len((await stub.List(api.ListPodResourcesRequest())).pod_resources)
        assert (before, held, after) == (0, {"a"}, 1)


async def test_a_device_on_two_nodes_is_two_entries() -> None:
    """R87: of a pod; and one without a topology has none."""
    async with scene() as play:
        await list_devices(play, on("a", 0, 1), device_api.Device(ID="b", health=H))
        pod = Pod.of({RESOURCE: 2})
        await play.kubelet.admit(pod)
        async with lister(play) as stub:
            request = api.GetPodResourcesRequest(pod_name=pod.name, pod_namespace=pod.namespace)
            found = (await stub.Get(request)).pod_resources.containers[0].devices
        assert entries(list(found)) == [("a", [0]), ("a", [1]), ("b", [])]
        assert not found[2].HasField("topology")


async def test_a_node_that_a_device_names_twice_is_two_entries() -> None:
    """R87: the kubelet does not look for nodes that are the same."""
    async with scene() as play:
        await list_devices(play, on("a", 1, 1))
        await play.kubelet.admit(Pod.of(ONE))
        async with lister(play) as stub:
            (pod,) = (await stub.List(api.ListPodResourcesRequest())).pod_resources
        assert entries(list(pod.containers[0].devices)) == [("a", [1]), ("a", [1])]


@pytest.mark.parametrize(("node", "shown"), [(-1, []), (7, [7])])
async def test_a_node_that_is_none_is_no_node_and_an_unknown_one_is_shown(
    node: int, shown: list[int]
) -> None:
    """R87: -1 is the kubelet's own word for none; it does not check the others."""
    async with scene() as play:
        await list_devices(play, on("a", node))
        await play.kubelet.admit(Pod.of(ONE))
        async with lister(play) as stub:
            (pod,) = (await stub.List(api.ListPodResourcesRequest())).pod_resources
        assert entries(list(pod.containers[0].devices)) == [("a", shown)]


async def test_a_pod_is_found_in_its_own_namespace_only() -> None:
    """R87."""
    async with scene() as play:
        pod = Pod.of()
        await play.kubelet.admit(pod)
        async with lister(play) as stub:
            request = api.GetPodResourcesRequest(pod_name=pod.name, pod_namespace="other")
            with pytest.raises(grpc.aio.AioRpcError, match="not found"):
                await stub.Get(request)


async def test_allocatable_are_the_healthy_devices_in_use_or_not() -> None:
    """R88."""
    async with scene() as play:
        await play.serve(a=H, b=H, c="Unhealthy")
        await play.kubelet.admit(Pod.of(ONE))
        assert await allocatable(play) == [("a", []), ("b", [])]


async def test_a_topology_without_nodes_hides_a_device() -> None:
    """R35."""
    async with scene() as play:
        await list_devices(play, on("a"), on("b", 0))
        assert await allocatable(play) == [("b", [0])]


async def test_nothing_is_allocatable_right_after_a_restart() -> None:
    """R88: until the plugin is back."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.restart()
        assert await allocatable(play) == []


async def test_a_restart_keeps_what_pods_have() -> None:
    """R30: before the plugin is back."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        await play.kubelet.restart()
        async with lister(play) as stub:
            (pod,) = (await stub.List(api.ListPodResourcesRequest())).pod_resources
        assert entries(list(pod.containers[0].devices)) == [("a", [])]


async def test_listing_frees_the_devices_of_dead_pods() -> None:
    """R86; and a pod without devices is listed too."""
    async with scene() as play:
        await play.serve(a=H)
        dead, idle = Pod.of(ONE), Pod.of({})
        await play.kubelet.admit(dead)
        await play.kubelet.admit(idle)
        play.kubelet.terminate(dead)
        async with lister(play) as stub:
            listed = (await stub.List(api.ListPodResourcesRequest())).pod_resources
        assert [pod.name for pod in listed] == [idle.name]
        assert play.kubelet.held(RESOURCE) == set()
