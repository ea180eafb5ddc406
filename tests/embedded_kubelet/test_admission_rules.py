"""The embedded kubelet admits pods, keeps their devices, and detects what would be its end."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import podresources_v1_pb2 as pods_api
from nodeplug.kubelet.api import podresources_v1_pb2_grpc as pods_grpc
from nodeplug.testing import AdmissionError, Clock, Container, Kubelet, Pod, Topology
from support.scripted import RESOURCE, Scene, scene

H, U = "Healthy", "Unhealthy"
ONE = {RESOURCE: 1}


async def refused(play: Scene, pod: Pod) -> str:
    with pytest.raises(AdmissionError) as caught:
        await play.kubelet.admit(pod)
    return str(caught.value)


async def test_a_resource_of_no_plugin_is_left_alone() -> None:
    """R44: it may be a cluster's; whether the node has enough of it is judged elsewhere (R40)."""
    async with scene() as play:
        runs = await play.kubelet.admit(Pod.of(ONE))
        assert runs["c0"].envs == {}


async def test_a_resource_that_was_forgotten_while_in_use_is_refused() -> None:
    """R28, R44: its plugin has been gone for more than the grace period."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        await play.plugin.stop()
        await play.reach(1, 0)
        play.kubelet.clock.advance(301)
        await play.reach(0, 0)
        text = "cannot allocate unregistered device example.com/thing"
        assert await refused(play, Pod.of(ONE)) == text


async def test_a_resource_without_a_healthy_device_is_refused() -> None:
    """R44: even for a limit of none."""
    async with scene() as play:
        await play.serve(a=U)
        text = "no healthy devices present; cannot allocate unhealthy devices example.com/thing"
        assert await refused(play, Pod.of({RESOURCE: 0})) == text


async def test_too_few_devices_are_refused_with_both_numbers() -> None:
    """R44; and a failed pod holds nothing."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        text = await refused(play, Pod.of({RESOURCE: 3}))
        assert text.startswith("requested number of devices unavailable for example.com/thing")
        assert text.endswith("Requested: 3, Available: 2")
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))


async def test_a_device_is_given_once() -> None:
    """Until its pod is gone (R47)."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        await refused(play, Pod.of(ONE))
        play.kubelet.terminate(pod)
        await play.kubelet.admit(Pod.of(ONE))


async def test_an_app_container_reuses_what_an_init_container_had() -> None:
    """R46: a second Allocate for the same id."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod((Container("i", ONE, init=True), Container("a", ONE))))
        assert play.plugin.calls == [["a"], ["a"]]


async def test_a_sidecar_keeps_what_it_took() -> None:
    """R46: it shares with the init container, not with the app."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        init, side = Container("i", ONE, init=True), Container("s", ONE, init=True, sidecar=True)
        await play.kubelet.admit(Pod((init, side, Container("app", ONE))))
        assert play.plugin.calls[0] == play.plugin.calls[1] != play.plugin.calls[2]


async def test_a_preference_is_followed_as_far_as_it_makes_sense() -> None:
    """R50: unknown ids are ignored, the rest is filled up."""
    async with scene() as play:
        play.plugin.options = api.DevicePluginOptions(get_preferred_allocation_available=True)
        play.plugin.prefer = ["c", "unknown", "c"]
        await play.serve(a=H, b=H, c=H)
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))
        assert "c" in play.plugin.calls[0]
        assert len(play.plugin.calls[0]) == 2


async def test_an_answer_without_content_fails_the_pod() -> None:
    """R42."""
    async with scene() as play:
        await play.serve(a=H)
        play.plugin.answer = []
        assert "no containers return in allocation response" in await refused(play, Pod.of(ONE))


async def test_devices_of_one_numa_node_are_taken_together() -> None:
    """R35, R49: where the policy asks for it."""
    async with scene(topology=Topology("single-numa-node")) as play:
        await play.serve(a=H)
        play.plugin.list_numa({"a": 0, "b": 1, "c": 0, "d": 1, "e": 1})
        await play.reach(5, 5)
        await play.kubelet.admit(Pod.of({RESOURCE: 3}))
        assert play.plugin.calls == [["b", "d", "e"]]


async def test_an_id_that_vanishes_during_allocate_is_a_violation() -> None:
    """R33: the real one would panic at the reply."""
    async with scene() as play:
        await play.serve(a=H, b=H)

        async def vanish() -> None:
            play.plugin.send(z=H)
            await play.reach(1, 1)

        play.plugin.before_answer = vanish
        await play.kubelet.admit(Pod.of(ONE))
        assert [v.rule for v in play.kubelet.journal.violations] == ["R33"]
        play.kubelet.journal.violations.clear()


async def test_an_allocated_id_missing_at_readmission_is_a_violation() -> None:
    """R33: with topology and a policy."""
    async with scene(topology=Topology("best-effort")) as play:
        await play.serve(a=H)
        play.plugin.list_numa({"a": 0, "b": 1})
        await play.reach(2, 2)
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))
        play.plugin.list_numa({"b": 1})
        await play.reach(1, 1)
        await play.kubelet.readmit(running=False)
        assert {v.rule for v in play.kubelet.journal.violations} == {"R33"}
        play.kubelet.journal.violations.clear()


async def test_a_violation_fails_the_test_that_did_not_expect_it() -> None:
    """Leaving the kubelet's context raises."""
    with pytest.raises(AssertionError, match="would panic"):
        async with scene() as play:
            play.kubelet.journal.violate("R33", "the kubelet would panic")


async def test_a_running_container_survives_a_restart_without_its_plugin() -> None:
    """R44: spared all checks while the kubelet starts."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        await play.plugin.stop()
        assert await play.kubelet.restart() == []


async def test_a_pod_that_does_not_run_yet_is_rejected_at_a_restart_without_its_plugin() -> None:
    """R52."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        await play.plugin.stop()
        assert await play.kubelet.restart(running=False) == [pod.name]


async def test_the_first_of_two_contradicting_answers_wins() -> None:
    """R60: the other is skipped, without an error."""
    async with scene() as play:
        play.plugin.answer = [api.ContainerAllocateResponse(envs={"A": "1"})]
        await play.serve(a=H)
        runs = await play.kubelet.admit(Pod.of(ONE))
        runs["c0"].add(api.ContainerAllocateResponse(envs={"A": "2"}))
        assert (runs["c0"].envs, runs["c0"].skipped) == ({"A": "1"}, ["env A"])


async def test_preparing_ends_after_thirty_seconds() -> None:
    """R55: of the kubelet's time; and only where it was asked for."""
    async with scene(clock=Clock(scale=100)) as play:
        play.plugin.options = api.DevicePluginOptions(pre_start_required=True)
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        await play.kubelet.start_container(pod, "c0")
        forever = asyncio.Event()
        play.plugin.before_answer = lambda: _wait(forever)
        with pytest.raises(AdmissionError):
            await play.kubelet.start_container(pod, "c0")
        assert play.plugin.prepared == 2


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def test_a_container_cannot_restart_once_the_resource_is_forgotten() -> None:
    """R28: five minutes after its plugin ended, though it prepares nothing."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        await play.plugin.stop()
        await play.reach(1, 0)
        await play.kubelet.start_container(pod, "c0")
        play.kubelet.clock.advance(301)
        assert play.figures() == (0, 0)
        with pytest.raises(AdmissionError, match="not found in cache"):
            await play.kubelet.start_container(pod, "c0")


async def test_pod_resources_lists_devices_of_app_containers_and_sidecars() -> None:
    """R86, R87: init containers are left out."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        init, side = Container("i", ONE, init=True), Container("s", ONE, init=True, sidecar=True)
        await play.kubelet.admit(Pod((init, side, Container("app", ONE))))
        async with stub(play.kubelet) as lister:
            listed = await lister.List(pods_api.ListPodResourcesRequest())
        names = [container.name for container in listed.pod_resources[0].containers]
        assert names == ["s", "app"]


async def test_pod_resources_does_not_find_what_is_gone() -> None:
    """R87: code and text."""
    async with scene() as play, stub(play.kubelet) as lister:
        with pytest.raises(grpc.aio.AioRpcError, match="not found") as caught:
            await lister.Get(pods_api.GetPodResourcesRequest(pod_name="x", pod_namespace="y"))
        assert caught.value.code() is grpc.StatusCode.UNKNOWN


async def test_pod_resources_has_a_rate_limit_for_all() -> None:
    """R85: a burst of ten."""
    async with scene(clock=Clock(scale=0.001)) as play, stub(play.kubelet) as lister:
        for _ in range(10):
            await lister.List(pods_api.ListPodResourcesRequest())
        with pytest.raises(grpc.aio.AioRpcError, match="rejected by rate limit") as caught:
            await lister.List(pods_api.ListPodResourcesRequest())
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@asynccontextmanager
async def stub(kubelet: Kubelet) -> AsyncGenerator["pods_grpc.PodResourcesListerAsyncStub", None]:
    path = kubelet.directory.with_name("pr.sock")
    async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
        yield pods_grpc.PodResourcesListerStub(channel)
