"""The embedded kubelet's pod resources as older clients ask for them."""

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as device_api
from nodeplug.kubelet.api import podresources_v1alpha1_pb2 as api
from nodeplug.kubelet.api import podresources_v1alpha1_pb2_grpc as api_grpc
from nodeplug.testing import Clock, Container, Pod
from support.scripted import RESOURCE, Scene, scene

H = "Healthy"
ONE = {RESOURCE: 1}
Call = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
ASK = api.ListPodResourcesRequest()


@asynccontextmanager
async def lister(play: Scene) -> AsyncGenerator["api_grpc.PodResourcesListerAsyncStub"]:
    path = play.directory.with_name("pr.sock")
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        yield api_grpc.PodResourcesListerStub(channel)


async def listed(play: Scene) -> list[api.PodResources]:
    async with lister(play) as stub:
        return list((await stub.List(ASK)).pod_resources)


async def test_pods_are_listed_with_their_devices() -> None:
    """R85: by name and namespace, as in v1."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod(Pod.of(ONE).containers, "p", "n"))
        device = api.ContainerDevices(resource_name=RESOURCE, device_ids=["a"])
        container = api.ContainerResources(name="c0", devices=[device])
        expected = api.PodResources(name="p", namespace="n", containers=[container])
        assert await listed(play) == [expected]


async def test_sidecars_are_left_out() -> None:
    """R86: other than in v1."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        side = Container("s", ONE, init=True, sidecar=True)
        await play.kubelet.admit(Pod((side, Container("app", ONE))))
        (pod,) = await listed(play)
        assert [container.name for container in pod.containers] == ["app"]


async def test_a_pod_that_has_ended_is_listed_once_more_without_devices() -> None:
    """R86, R47: all known pods, and the call frees what the dead had."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        play.kubelet.terminate(pod)
        (found,) = await listed(play)
        assert (found.name, list(found.containers[0].devices)) == (pod.name, [])


async def test_a_device_on_two_nodes_is_two_entries() -> None:
    """R87: which cannot be told apart here."""
    async with scene() as play:
        nodes = [device_api.NUMANode(ID=node) for node in (0, 1)]
        await play.serve(a=H)
        play.plugin.devices = [
            device_api.Device(ID="a", health=H, topology=device_api.TopologyInfo(nodes=nodes)),
            device_api.Device(ID="b", health="Unhealthy"),
        ]
        play.plugin._wake.set()
        await play.reach(2, 1)
        await play.kubelet.admit(Pod.of(ONE))
        (pod,) = await listed(play)
        assert [list(d.device_ids) for d in pod.containers[0].devices] == [["a"], ["a"]]


async def test_both_versions_share_one_rate_limit() -> None:
    """R85: a burst of ten."""
    async with scene(clock=Clock(scale=0.001)) as play, lister(play) as stub:
        path = play.directory.with_name("pr.sock")
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            v1: Call = channel.unary_unary("/v1.PodResourcesLister/List")
            for _ in range(10):
                await v1(b"")
        with pytest.raises(grpc.aio.AioRpcError, match="rejected by rate limit"):
            await stub.List(ASK)


def test_the_agent_does_not_load_it() -> None:
    """It would cost memory that the agent has promised not to take."""
    code = (
        "import sys, nodeplug.supervisor.agent, nodeplug.kubelet.evidence\n"
        "print('podresources_v1' in str(sys.modules), 'v1alpha1' in str(sys.modules))"
    )
    ran = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)
    assert ran.stdout.split() == ["True", "False"]
