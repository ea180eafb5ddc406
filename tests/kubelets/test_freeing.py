"""When a real kubelet frees the devices of a pod that is gone (R42, R47)."""

import pytest

from kubelets.kinds import Kind
from kubelets.plugin import StreamPlugin, refuse
from kubelets.stage import A, B, H, Stage, each, stage, with_init
from nodeplug.testing import AdmissionError, Pod, Topology

NONE_LEFT = "requested number of devices unavailable"


async def ended(play: Stage) -> tuple[StreamPlugin, Pod]:
    """Let a pod that had the only device end."""
    plugin = await play.serve(a=H)
    pod = Pod.of({A: 1})
    await play.kubelet.admit(pod)
    play.kubelet.terminate(pod)
    await play.settle()
    return plugin, pod


@each
async def test_a_list_alone_frees_nothing(kind: Kind) -> None:
    """A pod that has ended is written down anew with each list (R47)."""
    async with stage(kind) as play:
        plugin, pod = await ended(play)
        await play.send(plugin, a=H, b=H)
        assert play.kubelet.held(A) == {"a"}
        assert play.written(pod) == {A: {"a"}}


@each
async def test_the_figures_of_the_node_free_nothing(kind: Kind) -> None:
    """Nor does the start of a pod without devices (R47)."""
    async with stage(kind) as play:
        _, pod = await ended(play)
        await play.kubelet.admit(Pod.of({}))
        await play.settle()
        assert play.figures() == (1, 1)
        assert play.written(pod) == {A: {"a"}}


@each
async def test_with_a_topology_policy_any_pod_frees_devices(kind: Kind) -> None:
    """In memory: the Topology Manager asks for hints for pods without devices too (R47)."""
    async with stage(kind, topology=Topology("best-effort")) as play:
        _, pod = await ended(play)
        await play.kubelet.admit(Pod.of({}))
        await play.settle()
        assert play.kubelet.held(A) == frozenset()
        assert play.written(pod) == {A: {"a"}}


@each
async def test_pod_resources_frees_in_memory_and_the_next_list_writes_that(kind: Kind) -> None:
    """Whoever reads the checkpoint sees a pod that the kubelet has long forgotten (R47)."""
    async with stage(kind) as play:
        plugin, pod = await ended(play)
        assert await play.pod_resources() == {}
        await play.settle()
        assert play.kubelet.held(A) == frozenset()
        assert play.written(pod) == {A: {"a"}}
        await play.send(plugin, a=H, b=H)
        assert play.written(pod) == {}


@each
async def test_an_allocation_frees_and_writes_that(kind: Kind) -> None:
    """Before it looks for free devices, so the same device may go on at once (R47)."""
    async with stage(kind) as play:
        _, pod = await ended(play)
        after = Pod.of({A: 1})
        await play.kubelet.admit(after)
        assert play.written(pod) == {}
        assert play.written(after) == {A: {"a"}}


@each
async def test_an_allocation_of_another_resource_frees_too(kind: Kind) -> None:
    """So what is written of one resource may change by a call to the plugin of another (R47)."""
    async with stage(kind) as play:
        await play.serve(B, "kept/b.sock", b=H)
        _, pod = await ended(play)
        await play.kubelet.admit(Pod.of({B: 1}))
        assert play.written(pod) == {}


@each
async def test_a_kubelet_killed_before_it_writes_has_the_dead_pod_back(kind: Kind) -> None:
    """Its devices are taken until all pods are known, though they were free before (R47)."""
    async with stage(kind) as play:
        plugin, pod = await ended(play)
        assert await play.pod_resources() == {}
        await play.reboot()
        await play.register(plugin)
        with pytest.raises(AdmissionError, match=NONE_LEFT):
            await play.kubelet.admit(Pod.of({A: 1}))
        assert play.written(pod) == {A: {"a"}}
        await play.kubelet.readmit(running=False)
        await play.kubelet.admit(Pod.of({A: 1}))
        assert play.written(pod) == {}


@each
async def test_a_pod_deleted_by_force_leaves_its_device_to_the_next(kind: Kind) -> None:
    """Its containers may still run, and use it: the kubelet looks at pods alone (R47)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        pod, after = Pod.of({A: 1}), Pod.of({A: 1})
        await play.kubelet.admit(pod)
        play.kubelet.forget(pod)
        await play.settle()
        await play.kubelet.admit(after)
        assert plugin.calls == [["a"], ["a"]]
        assert play.kubelet.journal.violations == []


@each
async def test_a_container_of_a_pod_that_is_gone_still_starts_with_its_device(kind: Kind) -> None:
    """Until it is freed: a restart that is under way gets what the container had (R45, R47)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        plugin.answer_with("/dev/a")
        pod = Pod.of({A: 1})
        await play.kubelet.admit(pod)
        play.kubelet.forget(pod)
        await play.settle()
        assert list((await play.kubelet.start_container(pod, "c0")).devices) == ["/dev/it"]
        assert await play.pod_resources() == {}
        assert list((await play.kubelet.start_container(pod, "c0")).devices) == []


@each
async def test_an_empty_answer_costs_its_devices(kind: Kind) -> None:
    """They belong to no pod and are free for none, until another pod's are freed (R42)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H, b=H)
        other = Pod.of({A: 1})
        await play.kubelet.admit(other)
        good, plugin.answer = plugin.answer, []
        with pytest.raises(AdmissionError, match="no containers return in allocation response"):
            await play.kubelet.admit(Pod.of({A: 1}))
        plugin.answer = good
        await play.send(plugin, a=H, b=H)
        with pytest.raises(AdmissionError, match=NONE_LEFT):
            await play.kubelet.admit(Pod.of({A: 1}))
        play.kubelet.terminate(other)
        await play.kubelet.admit(Pod.of({A: 2}))


@each
async def test_a_plugin_that_refuses_keeps_its_devices(kind: Kind) -> None:
    """R42: an error costs the pod, and the device is free for the next."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        plugin.before_answer = refuse
        with pytest.raises(AdmissionError, match="refused"):
            await play.kubelet.admit(Pod.of({A: 1}))
        plugin.before_answer = None
        await play.kubelet.admit(Pod.of({A: 1}))


@each
async def test_pod_resources_leaves_out_what_an_init_container_has(kind: Kind) -> None:
    """While it runs, its device is in use and only the checkpoint knows (R86)."""
    async with stage(kind) as play:
        await play.serve(a=H, b=H)
        pod = with_init({A: 2}, {A: 1})
        await play.kubelet.admit(pod)
        [kept] = (await play.pod_resources())[pod.name]
        assert kept in {"a", "b"}
        assert play.written(pod) == {A: {"a", "b"}}
