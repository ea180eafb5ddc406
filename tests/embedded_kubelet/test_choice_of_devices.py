"""Which devices the embedded kubelet gives, whom it asks, and what a failure leaves behind."""

import dataclasses
from collections.abc import Mapping

import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import AdmissionError, AffinityError, Container, Pod, Topology
from support.scripted import RESOURCE, Scene, ScriptedPlugin, scene

H, U = "Healthy", "Unhealthy"
ONE = {RESOURCE: 1}


async def serve_with_opinion(play: Scene, nodes: Mapping[str, int], prefer: list[str]) -> None:
    play.plugin.options = api.DevicePluginOptions(get_preferred_allocation_available=True)
    play.plugin.prefer = prefer
    await play.serve()
    play.plugin.list_numa(dict(nodes))
    await play.reach(len(nodes), len(nodes))


def questions(play: Scene) -> list[tuple[str, str, int]]:
    """Return available and obligatory ids and the size of every question."""
    return [
        (
            "".join(sorted(asked.available_deviceIDs)),
            "".join(sorted(asked.must_include_deviceIDs)),
            asked.allocation_size,
        )
        for asked in play.plugin.asked
    ]


async def refused(play: Scene, pod: Pod) -> AdmissionError:
    with pytest.raises(AdmissionError) as caught:
        await play.kubelet.admit(pod)
    return caught.value


async def fail() -> None:
    raise ValueError("board is on fire")


async def test_a_plugin_is_asked_even_if_all_that_is_free_is_wanted() -> None:
    """R49."""
    async with scene() as play:
        await serve_with_opinion(play, {"a": 0, "b": 1}, [])
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))
        assert questions(play) == [("ab", "", 2)]


async def test_a_plugin_without_an_opinion_is_not_asked() -> None:
    """R49: its options say so."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        await play.kubelet.admit(Pod.of(ONE))
        assert questions(play) == []


async def test_what_is_reused_must_be_included() -> None:
    """R46, R49: and the size is that of the whole request."""
    async with scene() as play:
        await serve_with_opinion(play, {"a": 0, "b": 0, "c": 0}, ["a"])
        init = Container("i", ONE, init=True)
        await play.kubelet.admit(Pod((init, Container("app", {RESOURCE: 2}))))
        assert questions(play) == [("abc", "", 1), ("abc", "a", 2)]


async def test_nothing_is_asked_where_reuse_is_enough() -> None:
    """R46, R49."""
    async with scene() as play:
        await serve_with_opinion(play, {"a": 0, "b": 0}, [])
        pod = Pod((Container("i", {RESOURCE: 2}, init=True), Container("app", ONE)))
        await play.kubelet.admit(pod)
        assert questions(play) == [("ab", "", 2)]


async def test_aligned_devices_are_offered_alone_if_there_is_a_choice() -> None:
    """R49: and a preference for others is not heard."""
    async with scene(topology=Topology("restricted")) as play:
        await serve_with_opinion(play, {"a": 0, "b": 1, "c": 1, "d": 1}, ["a"])
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))
        assert questions(play) == [("bcd", "", 2)]
        assert "a" not in play.plugin.calls[0]


async def test_just_enough_aligned_devices_are_no_question() -> None:
    """R49."""
    async with scene(topology=Topology("restricted")) as play:
        await serve_with_opinion(play, {"a": 0, "b": 1, "c": 1}, ["a"])
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))
        assert (questions(play), play.plugin.calls) == ([], [["b", "c"]])


async def test_too_few_aligned_devices_are_taken_before_the_question() -> None:
    """R49: another resource of the container draws it to a node that has not enough."""
    async with scene(topology=Topology("best-effort")) as play:
        await serve_with_opinion(play, {"a": 0, "b": 1, "c": 1}, ["c"])
        other = ScriptedPlugin(play.directory, "example.com/other", "b.sock")
        other.list_numa({"x": 0})
        await other.start()
        await other.register()
        await play.kubelet.until(lambda: play.figures(other.resource) == (1, 1))
        await play.kubelet.admit(Pod.of({RESOURCE: 2, other.resource: 1}))
        await other.stop()
        assert (questions(play), play.plugin.calls) == ([("abc", "a", 2)], [["a", "c"]])


async def test_a_policy_that_cannot_be_met_rejects_the_pod() -> None:
    """R35: with a reason of its own."""
    async with scene(topology=Topology("single-numa-node")) as play:
        await serve_with_opinion(play, {"a": 0, "b": 1}, [])
        error = await refused(play, Pod.of({RESOURCE: 2}))
        assert isinstance(error, AffinityError)
        assert error.reason == "TopologyAffinityError"
        assert error.message == "Resources cannot be allocated with Topology locality"


async def test_best_effort_admits_what_cannot_be_aligned() -> None:
    """R35."""
    async with scene(topology=Topology("best-effort")) as play:
        await serve_with_opinion(play, {"a": 0, "b": 1}, [])
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))
        assert play.plugin.calls == [["a", "b"]]


@pytest.mark.parametrize("node", [-1, 7])
async def test_a_node_that_the_machine_does_not_have_satisfies_no_policy(node: int) -> None:
    """R35: better no topology than that one."""
    async with scene(topology=Topology("restricted")) as play:
        await serve_with_opinion(play, {"a": node}, [])
        assert isinstance(await refused(play, Pod.of(ONE)), AffinityError)


async def test_of_a_preference_for_too_many_some_are_taken() -> None:
    """R50."""
    async with scene() as play:
        await serve_with_opinion(play, dict.fromkeys("abcde", 0), ["c", "d", "e"])
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))
        (given,) = play.plugin.calls
        assert len(given) == 2
        assert set(given) < {"c", "d", "e"}


async def test_a_preference_that_fails_fails_the_pod() -> None:
    """R50, R42."""
    async with scene() as play:
        await serve_with_opinion(play, {"a": 0}, [])
        play.plugin.before_answer = fail
        error = await refused(play, Pod.of(ONE))
        assert "GetPreferredAllocation rpc failed with err: rpc error: code = " in str(error)


async def test_a_failed_allocation_says_why_and_keeps_nothing() -> None:
    """R42: the pod's status has the plugin's words."""
    async with scene() as play:
        await play.serve(a=H)
        play.plugin.before_answer = fail
        error = await refused(play, Pod.of(ONE))
        play.plugin.before_answer = None
        assert error.reason == "UnexpectedAdmissionError"
        assert error.message.startswith("Allocate failed due to rpc error: code = Unknown desc = ")
        assert error.message.endswith("board is on fire, which is unexpected")
        await play.kubelet.admit(Pod.of(ONE))


async def test_an_answer_without_content_keeps_its_devices_until_others_are_freed() -> None:
    """R42: the kubelet forgets to take them back."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        first = Pod.of(ONE)
        await play.kubelet.admit(first)
        play.plugin.answer = []
        await refused(play, Pod.of(ONE))
        play.plugin.answer = [api.ContainerAllocateResponse()]
        assert str(await refused(play, Pod.of(ONE))).endswith("Requested: 1, Available: 0")
        play.kubelet.terminate(first)
        await play.kubelet.admit(Pod.of({RESOURCE: 2}))


async def test_another_number_for_the_same_container_is_refused() -> None:
    """R44."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        await play.kubelet.admit(Pod.of(ONE))
        pod = play.kubelet.active_pods[0]
        changed = dataclasses.replace(pod, containers=Pod.of({RESOURCE: 2}).containers)
        error = await refused(play, changed)
        assert f'changed request for resource "{RESOURCE}" from 1 to 2' in str(error)


async def test_a_device_that_fell_ill_rejects_a_pod_that_does_not_run_yet() -> None:
    """R44, R52."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        await play.kubelet.admit(Pod.of(ONE))
        play.plugin.send(**{i: U if [i] in play.plugin.calls else H for i in "ab"})
        await play.reach(2, 1)
        await play.kubelet.readmit(running=False)
        (rejected,) = play.kubelet.journal.of("reject")
        assert "previously allocated devices are no longer healthy" in rejected.detail


async def test_a_finished_init_container_rejects_a_running_pod_without_its_plugin() -> None:
    """R52: issue 138446 of Kubernetes."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod((Container("i", ONE, init=True), Container("a", ONE)))
        await play.kubelet.admit(pod)
        assert await play.kubelet.restart() == [pod.name]


async def test_a_restart_asks_for_nothing_anew() -> None:
    """R45: the stored answer is what containers get."""
    async with scene() as play:
        play.plugin.answer = [api.ContainerAllocateResponse(envs={"A": "1"})]
        await play.serve(a=H)
        pod = Pod.of(ONE)
        before = await play.kubelet.admit(pod)
        await play.kubelet.restart()
        assert {"c0": play.kubelet.run_options(pod, "c0")} == before
        assert len(play.plugin.calls) == 1


async def test_devices_are_freed_when_they_are_wanted_again() -> None:
    """R47: neither at the end of the pod nor by a pod without devices."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        play.kubelet.terminate(pod)
        await play.kubelet.admit(Pod.of())
        assert play.kubelet.held(RESOURCE) == {"a"}
        await play.kubelet.admit(Pod.of({RESOURCE: 0}))
        assert play.kubelet.held(RESOURCE) == set()


async def test_what_is_reused_is_not_missing() -> None:
    """R44, R46: only the rest is counted."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        pod = Pod((Container("i", ONE, init=True), Container("app", {RESOURCE: 3})))
        assert str(await refused(play, pod)).endswith("Requested: 2, Available: 1")


async def test_init_containers_come_first_wherever_they_stand() -> None:
    """R41."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        await play.kubelet.admit(
            Pod((Container("app", {RESOURCE: 2}), Container("i", ONE, init=True)))
        )
        assert [len(ids) for ids in play.plugin.calls] == [1, 2]


async def test_what_is_in_use_before_a_restart_is_so_after_it() -> None:
    """R30: the checkpoint says so."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        await play.kubelet.restart()
        play.plugin.socket = "again.sock"
        await play.plugin.stop()
        await play.plugin.start()
        await play.plugin.register()
        await play.reach(1, 1)
        assert "devices unavailable" in str(await refused(play, Pod.of(ONE)))
