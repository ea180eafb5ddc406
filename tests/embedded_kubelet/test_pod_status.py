"""The health of a pod's devices in its status, and what makes the kubelet look at it."""

import pytest

from nodeplug.testing import Capacity, Container, Order, Pod
from support.scripted import RESOURCE, Scene, ScriptedPlugin, scene

H, U = "Healthy", "Unhealthy"
ONE = {RESOURCE: 1}
OTHER = "example.com/other"


async def run(play: Scene) -> Pod:
    """Run a pod that has the device "a" of two."""
    await play.serve(a=H, b=U)
    pod = Pod.of(ONE)
    await play.kubelet.admit(pod)
    return pod


async def list_anew(play: Scene, **healths: str) -> None:
    """Send a list and wait until the kubelet has it."""
    before = len(play.kubelet.journal.of("list"))
    play.plugin.send(**healths)
    await play.kubelet.until(lambda: len(play.kubelet.journal.of("list")) > before, 5)


def shown(play: Scene, pod: Pod) -> dict[str, str]:
    return play.kubelet.pod_status(pod)["c0"][RESOURCE]


def synced(play: Scene) -> list[str]:
    return [event.detail for event in play.kubelet.journal.of("pod sync")]


@pytest.mark.parametrize(("health", "status"), [(H, H), (U, U), ("healthy", U), ("", U)])
async def test_a_device_s_health_is_in_the_status_of_its_pod(health: str, status: str) -> None:
    """R69: one of two words, whatever the plugin says."""
    async with scene() as play:
        pod = await run(play)
        await list_anew(play, a=health, b=H)
        assert shown(play, pod) == {"a": status}


async def test_the_status_shows_app_containers_only() -> None:
    """R69: neither init containers nor sidecars."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        init, side = Container("i", ONE, init=True), Container("s", ONE, init=True, sidecar=True)
        pod = Pod((init, side, Container("app", ONE)))
        await play.kubelet.admit(pod)
        assert list(play.kubelet.pod_status(pod)) == ["app"]


async def test_a_device_that_vanished_is_shown_healthy() -> None:
    """R70: and nobody looks."""
    async with scene() as play:
        pod = await run(play)
        await list_anew(play, a=U)
        await list_anew(play, b=H)
        assert (shown(play, pod), len(synced(play))) == ({"a": H}, 1)


async def test_after_a_restart_a_sick_device_is_shown_healthy_until_the_first_list() -> None:
    """R70."""
    async with scene() as play:
        pod = await run(play)
        await list_anew(play, a=U)
        await play.kubelet.restart()
        before = shown(play, pod)
        await play.plugin.stop()
        await play.serve(a=U)
        assert (before, shown(play, pod)) == ({"a": H}, {"a": U})


@pytest.mark.parametrize("health", [H, U])
async def test_the_end_of_a_plugin_changes_nothing(health: str) -> None:
    """R70: nor does its resource's being forgotten."""
    async with scene() as play:
        pod = await run(play)
        await list_anew(play, a=health)
        before = synced(play)
        await play.plugin.stop()
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("stream end")), 5)
        play.kubelet.clock.advance(301)
        await play.reach(0, 0)
        assert (shown(play, pod), synced(play)) == ({"a": health}, before)


async def test_a_device_whose_health_changes_syncs_its_pod() -> None:
    """R70: even from one word for sick to another; and what is as before does not."""
    async with scene() as play:
        pod = await run(play)
        counts = []
        for health in (U, U, "broken", H):
            await list_anew(play, a=health, b=U)
            counts.append(len(synced(play)))
        assert counts == [1, 1, 2, 3]
        assert set(synced(play)) == {f"default/{pod.name}"}


async def test_a_device_that_reappears_syncs_its_pod() -> None:
    """R70: in the health it had."""
    async with scene() as play:
        await run(play)
        await list_anew(play, b=U)
        await list_anew(play, a=H, b=U)
        assert len(synced(play)) == 1


async def test_a_device_without_a_pod_syncs_none() -> None:
    """R70."""
    async with scene() as play:
        await run(play)
        await list_anew(play, a=H, b=H, c=H)
        assert synced(play) == []


async def test_an_id_of_two_resources_syncs_but_one_pod_and_any() -> None:
    """R23, R70: ids are taken for the node's."""
    async with scene() as play:
        play.kubelet.physical = lambda resource, device_id: (resource, device_id)
        first = await run(play)
        other = ScriptedPlugin(play.directory, OTHER, "b.sock")
        other.send(a=H)
        await other.start()
        await other.register()
        await play.kubelet.until(lambda: play.kubelet.capacity(OTHER) == Capacity(1, 1))
        second = Pod.of({OTHER: 1})
        await play.kubelet.admit(second)
        play.kubelet.journal.events.clear()
        for seed in range(20):
            play.kubelet.order = Order(seed)
            await list_anew(play, a=H if seed % 2 else U)
        await other.stop()
        assert len(synced(play)) == 20
        assert set(synced(play)) == {f"default/{pod.name}" for pod in (first, second)}
