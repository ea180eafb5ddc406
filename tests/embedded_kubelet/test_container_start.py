"""What the embedded kubelet does before a container starts, also where it has lost its memory."""

import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import Container, Pod, StartError
from support.scripted import RESOURCE, Scene, scene

H = "Healthy"
ONE = {RESOURCE: 1}
PREPARES = api.DevicePluginOptions(pre_start_required=True)


async def forget(play: Scene) -> None:
    """Restart the kubelet without its checkpoint, with containers that go on running."""
    await play.kubelet.stop()
    (play.directory / "kubelet_internal_checkpoint").write_bytes(b"")
    await play.kubelet.start()
    assert await play.kubelet.readmit(running=True) == []


async def come_back(play: Scene, **healths: str) -> None:
    """Let the plugin register with the new kubelet."""
    await play.plugin.stop()
    await play.serve(**healths)


async def lose(play: Scene, pod: Pod, **healths: str) -> None:
    """Admit a pod, and let the kubelet forget what it has given it."""
    await play.serve(**healths)
    await play.kubelet.admit(pod)
    await forget(play)
    await come_back(play, **healths)
    play.plugin.calls.clear()


async def test_what_the_kubelet_forgot_is_allocated_anew() -> None:
    """R45, its exception: at the container's start."""
    async with scene() as play:
        play.plugin.answer = [api.ContainerAllocateResponse(envs={"A": "1"})]
        pod = Pod.of(ONE)
        await lose(play, pod, a=H)
        assert (await play.kubelet.start_container(pod, "c0")).envs == {"A": "1"}
        assert play.plugin.calls == [["a"]]


async def test_what_was_allocated_anew_is_known_at_the_next_start() -> None:
    """R45, R66: it is written down."""
    async with scene() as play:
        pod = Pod.of(ONE)
        await lose(play, pod, a=H)
        await play.kubelet.start_container(pod, "c0")
        await play.kubelet.restart()
        assert play.kubelet.held(RESOURCE) == {"a"}


async def test_what_cannot_be_allocated_anew_keeps_the_container_waiting() -> None:
    """R45: the pod is not refused, as it would be at admission."""
    async with scene() as play:
        pod = Pod.of(ONE)
        await lose(play, pod, a=H)
        await play.kubelet.admit(Pod.of(ONE))
        with pytest.raises(StartError, match="devices unavailable"):
            await play.kubelet.start_container(pod, "c0")
        assert pod in play.kubelet.active_pods


async def test_a_container_that_starts_before_its_plugin_is_back_gets_nothing() -> None:
    """R45: the kubelet no longer knows that the resource is a plugin's."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        await forget(play)
        await play.kubelet.start_container(pod, "c0")
        assert len(play.plugin.calls) == 1


async def test_an_app_container_gets_again_what_its_init_container_got_anew() -> None:
    """R45, R46: the pool is the pod's."""
    async with scene() as play:
        pod = Pod((Container("i", ONE, init=True), Container("a", ONE)))
        await play.serve(a=H, b=H)
        await play.kubelet.admit(Pod.of(ONE))
        await play.kubelet.admit(pod)
        await forget_all_of(play, pod)
        await play.kubelet.start_container(pod, "i")
        await play.kubelet.start_container(pod, "a")
        assert play.plugin.calls[0] == play.plugin.calls[1]


async def forget_all_of(play: Scene, pod: Pod) -> None:
    play.kubelet._tables.free({each.uid for each in play.kubelet.active_pods} - {pod.uid})
    play.plugin.calls.clear()


async def test_a_pod_that_is_leaving_gets_nothing_anew() -> None:
    """R45."""
    async with scene() as play:
        pod = Pod.of(ONE)
        await lose(play, pod, a=H)
        play.kubelet.terminate(pod)
        await play.kubelet.start_container(pod, "c0")
        assert play.plugin.calls == []


async def test_a_pod_that_is_leaving_is_prepared_for() -> None:
    """R55: its containers may well start once more."""
    async with scene() as play:
        play.plugin.options = PREPARES
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        play.kubelet.terminate(pod)
        await play.kubelet.start_container(pod, "c0")
        assert play.plugin.prepared == 1


async def test_every_start_is_prepared_for() -> None:
    """R55: also that of a container that has run before."""
    async with scene() as play:
        play.plugin.options = PREPARES
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        for _ in range(2):
            await play.kubelet.start_container(pod, "c0")
        assert play.plugin.prepared == 2


async def test_all_devices_of_a_resource_are_prepared_in_one_call() -> None:
    """R55: and those of another container of the pod are not among them."""
    async with scene() as play:
        play.plugin.options = PREPARES
        await play.serve(a=H, b=H, c=H)
        pod = Pod.of({RESOURCE: 2}, ONE)
        await play.kubelet.admit(pod)
        await play.kubelet.start_container(pod, "c0")
        assert play.plugin.prepared_for == play.plugin.calls[:1]


async def test_what_the_kubelet_forgot_cannot_be_prepared() -> None:
    """R55: it wants to prepare before it allocates anew, and so never does."""
    async with scene() as play:
        play.plugin.options = PREPARES
        pod = Pod.of(ONE)
        await lose(play, pod, a=H)
        with pytest.raises(StartError, match="no devices found allocated in local cache"):
            await play.kubelet.start_container(pod, "c0")
        assert play.plugin.calls == []


async def test_a_plugin_that_cannot_prepare_keeps_the_container_waiting() -> None:
    """R55: with the plugin's own words."""
    async with scene() as play:
        play.plugin.options = PREPARES
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)

        async def fail() -> None:
            raise RuntimeError("the board is on fire")

        play.plugin.before_answer = fail
        with pytest.raises(StartError, match=r"PreStartContainer rpc failed.*on fire"):
            await play.kubelet.start_container(pod, "c0")
