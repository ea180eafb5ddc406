"""Where kubelets differ from version to version: docs/kubelet-versions.md, pods."""

from typing import Any

from kubelets.kinds import Kind
from kubelets.real import _spec
from kubelets.stage import A, B, H, Stage, U, each, since, stage
from nodeplug.testing import Pod, Topology

C = "example.com/c"


async def until_synced(play: Stage, *pods: Pod) -> None:
    """Wait until the kubelet has looked at these pods anew, in this order and no others."""
    names = [f"default/{pod.name}" for pod in pods]
    journal = play.kubelet.journal
    await play.kubelet.until(lambda: [e.detail for e in journal.of("pod sync")] == names)
    # None comes late.
    await play.settle()
    assert [e.detail for e in journal.of("pod sync")] == names


@each
async def test_a_pod_is_looked_at_anew_when_its_device_turns_sick_from_1_36(kind: Kind) -> None:
    """So its status shows that at once; before, ResourceHealthStatus is off by default (R70)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        pod = Pod.of({A: 1})
        await play.kubelet.admit(pod)
        await play.send(plugin, a=U)
        await until_synced(play, *[pod] if since(kind, "1.36") else [])


@each
async def test_a_pod_is_found_by_the_id_alone_in_1_36(kind: Kind) -> None:
    """One with the same id of another resource is looked at; from 1.37 the resource counts (R70).

    Up to 1.35 no pod is.
    """
    async with stage(kind) as play:
        plugin = await play.serve(A, same=H)
        other = await play.serve(B, "kept/b.sock", same=H)
        namesake, concerned = Pod.of({B: 1}), Pod.of({B: 1})
        await play.kubelet.admit(namesake)
        await play.send(other, same=H, more=H)
        await play.kubelet.admit(concerned)
        await play.send(plugin, same=U)
        await play.send(other, same=H, more=U)
        if since(kind, "1.37"):
            await until_synced(play, concerned)
        else:
            await until_synced(play, *[namesake, concerned] if since(kind, "1.36") else [])


@each
async def test_resources_that_share_no_numa_node_are_not_aligned_at_all_from_1_36(
    kind: Kind,
) -> None:
    """Up to 1.35 what can be near one of them is: a plugin is offered fewer devices (R36)."""
    async with stage(kind, topology=Topology("best-effort", nodes=(0, 1))) as play:
        both = play.plugin(B, "kept/b.sock")
        both.options.get_preferred_allocation_available = True
        for plugin, nodes in (
            (play.plugin(A), {"a": 0}),
            (play.plugin(C, "kept/c.sock"), {"c": 1}),
        ):
            plugin.list_numa(nodes)
            await plugin.start()
            await play.register(plugin)
        both.list_numa({"b0": 0, "b1": 0, "b2": 1, "b3": 1})
        await both.start()
        await play.register(both)
        await play.kubelet.admit(Pod.of({A: 1, B: 1, C: 1}))
        [asked] = both.asked
        everything = ["b0", "b1", "b2", "b3"]
        assert sorted(asked.available_deviceIDs) == (
            everything if since(kind, "1.36") else ["b0", "b1"]
        )


@each
async def test_a_container_that_has_restarted_counts_as_running_from_1_35(kind: Kind) -> None:
    """Up to 1.34 one that exited before may be taken for it, and the pod is refused (R44)."""
    async with stage(kind) as play:
        await play.serve(a=H)
        pod = Pod.of({A: 1})
        await play.kubelet.admit(pod)
        await play.kubelet.stop()
        await start_with_many_that_exited(play, pod)
        assert await play.kubelet.readmit(running=True) == (
            [] if since(kind, "1.35") else [pod.name]
        )


async def start_with_many_that_exited(play: Stage, pod: Pod) -> None:
    """Start, finding a container running whose earlier runs are many: which counts is chance."""
    entry = {"uid": pod.uid, "container": "c0"}
    ask = play.kubelet._ask

    async def with_exited(do: str, **fields: Any) -> Any:
        if do == "start":
            fields["start"]["running"].extend([entry | {"exited": True}] * 20_000)
        return await ask(do, **fields)

    play.kubelet._ask = with_exited  # type: ignore[method-assign]
    await play.kubelet.start(running={(pod.uid, "c0")}, ready=False)


@each
async def test_a_resource_that_a_claim_provides_is_left_to_it_from_1_36(kind: Kind) -> None:
    """The plugin of that name is not asked; 1.35 does so only behind DRAExtendedResource (R110)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        pod = Pod.of({A: 1})
        spec = _spec(pod) | {"claimed": [{"container": "c0", "resource": A}]}
        assert (await play.kubelet._ask("admit", pod=spec))["admit"]
        assert plugin.calls == ([] if since(kind, "1.36") else [["a"]])


@each
async def test_a_pod_with_a_sick_device_can_be_resized_from_1_37(kind: Kind) -> None:
    """Up to 1.36 a resize is an admission anew, and has to wait until the device is well (R44)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H, b=H)
        pod = Pod.of({A: 2})
        await play.kubelet.admit(pod)
        await play.send(plugin, a=U, b=H)
        answer = await play.kubelet._ask("admit", pod=_spec(pod), resize=True)
        assert answer["admit"] == since(kind, "1.37")
        sick = "previously allocated devices are no longer healthy"
        assert answer["admit"] or sick in answer["message"]
        assert len(plugin.calls) == 1
