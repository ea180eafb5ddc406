"""What a real kubelet does with pods that it finds after a reboot or a restart (R44, R45, R52)."""

import pytest

from kubelets.kinds import Kind
from kubelets.plugin import StreamPlugin
from kubelets.stage import A, B, H, Stage, U, each, stage
from nodeplug.testing import Pod, StartError


async def given(play: Stage, *, prepare: bool = False) -> tuple[StreamPlugin, Pod]:
    """Let a pod have device a, one of two."""
    plugin = play.plugin()
    plugin.options.pre_start_required = prepare
    await play.start(plugin, a=H)
    plugin.answer_with("/dev/old")
    pod = Pod.of({A: 1})
    await play.kubelet.admit(pod)
    await play.send(plugin, a=H, b=H)
    return plugin, pod


async def path_of(play: Stage, pod: Pod) -> str:
    run = await play.kubelet.start_container(pod, "c0")
    return run.devices["/dev/it"].host_path


def refusals(play: Stage) -> list[str]:
    return [event.detail.split(": ", 1)[1] for event in play.kubelet.journal.of("reject")]


@each
async def test_after_a_reboot_the_old_answer_is_replayed(kind: Kind) -> None:
    """Nobody is asked anew, so paths of an earlier boot must still be right (R45)."""
    async with stage(kind) as play:
        plugin, pod = await given(play)
        await play.reboot()
        plugin.answer_with("/dev/new")
        await play.register(plugin)
        assert await play.kubelet.readmit(running=False) == []
        assert plugin.calls == [["a"]]
        assert await path_of(play, pod) == "/dev/old"


@each
async def test_after_a_reboot_a_device_is_prepared_again(kind: Kind) -> None:
    """PreStartContainer is the only call that a plugin gets then (R55)."""
    async with stage(kind) as play:
        plugin, pod = await given(play, prepare=True)
        await play.reboot()
        await play.register(plugin)
        await play.kubelet.readmit(running=False)
        await play.kubelet.start_container(pod, "c0")
        assert plugin.prepared_for == [["a"]]


@each
async def test_a_pod_that_comes_before_its_plugin_is_refused(kind: Kind) -> None:
    """It has ended for good, but its devices stay written down for now (R47, R52)."""
    async with stage(kind) as play:
        plugin, pod = await given(play)
        await play.reboot()
        assert await play.kubelet.readmit(running=False) == [pod.name]
        assert refusals(play) == [
            f"no healthy devices present; cannot allocate unhealthy devices {A}"
        ]
        await play.register(plugin)
        assert play.written(pod) == {A: {"a"}}
        await play.kubelet.admit(Pod.of({A: 2}))
        assert play.written(pod) == {}


@each
async def test_a_pod_whose_device_has_another_id_is_refused(kind: Kind) -> None:
    """Ids that change from boot to boot cost every pod of the node (R44)."""
    async with stage(kind) as play:
        plugin, pod = await given(play)
        await play.reboot()
        plugin.send(b=H, c=H)
        await play.register(plugin)
        assert await play.kubelet.readmit(running=False) == [pod.name]
        assert refusals(play)[0].startswith("previously allocated devices are no longer healthy")
        assert play.written(pod) == {A: {"a"}}


@each
async def test_a_container_found_running_is_asked_nothing(kind: Kind) -> None:
    """A restart of the kubelet alone does not depend on plugins (R44)."""
    async with stage(kind) as play:
        plugin, pod = await given(play)
        assert await play.kubelet.restart() == []
        assert play.written(pod) == {A: {"a"}}
        await play.register(plugin)
        assert play.kubelet.held(A) == {"a"}


@each
async def test_a_container_with_an_unhealthy_device_may_start_again(kind: Kind) -> None:
    """A restart gets the device all the same, its preparation included (R34, R55)."""
    async with stage(kind) as play:
        plugin, pod = await given(play, prepare=True)
        await play.send(plugin, a=U, b=H)
        assert await path_of(play, pod) == "/dev/old"
        assert plugin.prepared_for == [["a"]]


@each
async def test_a_pod_with_an_unhealthy_device_is_not_admitted_again(kind: Kind) -> None:
    """After a reboot it is refused, where a container's restart would have been let (R44)."""
    async with stage(kind) as play:
        plugin, pod = await given(play)
        await play.reboot()
        plugin.send(a=U, b=H)
        await play.register(plugin)
        assert await play.kubelet.readmit(running=False) == [pod.name]
        assert refusals(play)[0].startswith("previously allocated devices are no longer healthy")


@each
async def test_right_after_a_restart_there_is_nothing_yet_and_nothing_is_forgotten(
    kind: Kind,
) -> None:
    """The node shows 0 of 0, and containers may start again, unprepared (R30)."""
    async with stage(kind) as play:
        plugin, pod = await given(play, prepare=True)
        await play.kubelet.restart()
        await play.settle()
        assert play.figures() == (0, 0)
        assert await path_of(play, pod) == "/dev/old"
        assert plugin.prepared == 0


@each
async def test_after_the_grace_period_even_containers_cannot_start_again(kind: Kind) -> None:
    """Until the plugin is back: the pod's devices are still written down (R28, R30)."""
    async with stage(kind) as play:
        plugin, pod = await given(play)
        await play.kubelet.restart()
        await play.kubelet.pass_grace()
        with pytest.raises(StartError, match=f"endpoint not found in cache .*{A}"):
            await play.kubelet.start_container(pod, "c0")
        await play.settle()
        assert play.figures() == (0, 0)
        assert play.written(pod) == {A: {"a"}}
        await play.register(plugin)
        assert await path_of(play, pod) == "/dev/old"


@each
async def test_a_resource_without_a_plugin_for_long_is_taken_from_the_node(kind: Kind) -> None:
    """And from the checkpoint, but from no pod (R28)."""
    async with stage(kind) as play:
        plugin, pod = await given(play)
        await play.serve(B, "kept/b.sock", b=H)
        plugin.streams[0].end()
        await play.reach(2, 0)
        await play.kubelet.pass_grace()
        await play.settle()
        assert play.figures() == (0, 0)
        assert play.registered() == {B: ["b"]}
        assert play.written(pod) == {A: {"a"}}
