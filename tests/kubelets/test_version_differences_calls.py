"""Where kubelets differ from version to version: docs/kubelet-versions.md, calls that end."""

import asyncio

import pytest

from kubelets.kinds import Kind
from kubelets.plugin import Slow, StreamPlugin
from kubelets.stage import CHECKPOINT, A, H, Stage, each, since, stage
from nodeplug.testing import Pod, StartError


@each
async def test_a_caller_that_gives_up_is_registered_all_the_same_up_to_1_34(kind: Kind) -> None:
    """Its options were still being asked for; from 1.35 that ends with the caller (R18)."""
    async with stage(kind) as play:
        plugin = play.plugin()
        plugin.send(a=H)
        await plugin.start()
        plugin.before_options = slow = Slow()
        call = asyncio.create_task(plugin.register())
        await slow.called.wait()
        call.cancel()
        if since(kind, "1.35"):
            await play.kubelet.until(lambda: bool(play.kubelet.journal.of("register", A)))
            [event] = play.kubelet.journal.of("register", A)
            assert "failed to get device plugin options" in event.detail
        else:
            slow.go_on.set()
            await play.reach(1, 1)


@each
async def test_the_preparation_of_a_pod_that_is_deleted_ends_from_1_35(kind: Kind) -> None:
    """The plugin sees its call cancelled; up to 1.34 the kubelet waits for it (R55)."""
    async with stage(kind) as play:
        plugin, pod = await prepared(play)
        plugin.before_answer = slow = Slow()
        start = asyncio.create_task(play.kubelet.start_container(pod, "c0"))
        await slow.called.wait()
        await play.kubelet._ask("cancel", uid=pod.uid)
        if since(kind, "1.35"):
            with pytest.raises(StartError, match="context canceled"):
                await start
            await slow.ended.wait()
        else:
            slow.go_on.set()
            await start


async def prepared(play: Stage) -> tuple[StreamPlugin, Pod]:
    plugin = play.plugin()
    plugin.options.pre_start_required = True
    await play.start(plugin, a=H)
    pod = Pod.of({A: 1})
    await play.kubelet.admit(pod)
    return plugin, pod


@each
async def test_an_allocation_for_a_container_that_starts_ends_with_its_pod_from_1_37(
    kind: Kind,
) -> None:
    """Up to 1.36 the devices are allocated though the pod has been deleted meanwhile (R45)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        pod = Pod.of({A: 1})
        await play.kubelet.admit(pod)
        await forget_allocations(play, pod)
        await play.register(plugin)
        plugin.before_answer = slow = Slow()
        start = asyncio.create_task(play.kubelet.start_container(pod, "c0"))
        await slow.called.wait()
        await play.kubelet._ask("cancel", uid=pod.uid)
        if since(kind, "1.37"):
            with pytest.raises(StartError, match="context canceled"):
                await start
            await slow.ended.wait()
        else:
            slow.go_on.set()
            await start
            await play.settle()
            assert play.kubelet.held(A) == {"a"}


async def forget_allocations(play: Stage, pod: Pod) -> None:
    """Restart the kubelet with a running container and no record of what it has."""
    await play.kubelet.stop()
    (play.kubelet.directory / CHECKPOINT).write_text("broken")
    await play.kubelet.start(running={(pod.uid, "c0")}, ready=False)
    await play.kubelet.readmit(running=True)
