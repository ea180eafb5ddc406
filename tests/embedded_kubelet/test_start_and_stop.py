"""What others see of the embedded kubelet's start, stop and status."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from asyncinotify import Inotify, Mask

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import Capacity, Clock, Pod, StartError
from nodeplug.testing.patience import patience
from support.scripted import RESOURCE, Scene, ScriptedPlugin, scene

H = "Healthy"
ONE = {RESOURCE: 1}


@asynccontextmanager
async def events(directory: Path, last: tuple[Mask, str]) -> AsyncGenerator[list[tuple[Mask, str]]]:
    """Give the events of a directory's plain names; they are complete at the end, with `last`."""
    seen: list[tuple[Mask, str]] = []
    with Inotify() as inotify:
        inotify.add_watch(directory, Mask.CREATE | Mask.DELETE | Mask.MOVED_TO)
        yield seen
        async with patience(5):
            while last not in seen:
                event = await inotify.get()
                if event.name and not event.name.name.startswith("."):
                    seen.append((event.mask, event.name.name))


async def test_a_start_deletes_sockets_before_it_creates_its_own() -> None:
    """R8: the plugin's may be deleted before or after the dead kubelet's."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.stop()
        created = (Mask.CREATE, "kubelet.sock")
        async with events(play.directory, created) as seen:
            await play.kubelet.start()
        deleted = {(Mask.DELETE, "a.sock"), (Mask.DELETE, "kubelet.sock")}
        assert {e for e in seen if e[0] & Mask.DELETE} == deleted
        assert seen[-1] == created


async def test_the_pod_resources_socket_appears_by_a_rename() -> None:
    """R85: MOVED_TO, where others wait for CREATE."""
    async with scene() as play:
        await play.kubelet.stop()
        folder = play.directory.parent
        async with events(folder, (Mask.MOVED_TO, "pr.sock")) as seen:
            await play.kubelet.start()
        assert (Mask.CREATE, "pr.sock") not in seen


async def test_each_process_has_a_socket_of_its_own() -> None:
    """R9: told apart by inode or time of change; R2: and by nobody else but root to be used."""
    async with scene() as play:
        path = play.directory / "kubelet.sock"
        first = path.stat()
        await play.kubelet.restart()
        second = path.stat()
        assert (first.st_ino, first.st_mtime_ns) != (second.st_ino, second.st_mtime_ns)
        assert second.st_mode & 0o777 == 0o755


async def test_a_graceful_stop_takes_the_socket_along() -> None:
    """R6."""
    async with scene() as play:
        await play.kubelet.stop(unlink=True)
        assert not (play.directory / "kubelet.sock").exists()


async def test_the_scheduler_hears_of_a_resource_within_ten_seconds() -> None:
    """R27: not before the next status of the node."""
    async with scene(clock=Clock(scale=0.01)) as play:
        await play.serve(a=H)
        before = play.kubelet.node_status(RESOURCE)
        play.kubelet.clock.advance(10)
        await play.kubelet.until(lambda: play.kubelet.node_status(RESOURCE) == Capacity(1, 1), 5)
        assert before is None


async def test_a_resource_never_leaves_the_node_s_status() -> None:
    """R28: it becomes zero, and nobody has to ask for that."""
    async with scene() as play:
        await play.serve(a=H)
        play.kubelet.clock.advance(10)
        await play.kubelet.until(lambda: play.kubelet.node_status(RESOURCE) == Capacity(1, 1))
        await play.plugin.stop()
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("stream end")))
        play.kubelet.clock.advance(301)
        await play.kubelet.until(lambda: play.kubelet.node_status(RESOURCE) == Capacity(0, 0))


async def test_a_resource_not_seen_again_after_a_restart_is_forgotten_too() -> None:
    """R30: five minutes from the kubelet's start on."""
    async with scene() as play:
        await play.serve(a=H)
        pod = Pod.of(ONE)
        await play.kubelet.admit(pod)
        await play.kubelet.restart()
        await play.kubelet.start_container(pod, "c0")
        play.kubelet.clock.advance(301)
        with pytest.raises(StartError, match="not found in cache"):
            await play.kubelet.start_container(pod, "c0")


async def prepare(play: Scene) -> Pod:
    play.plugin.options = api.DevicePluginOptions(pre_start_required=True)
    await play.serve(a=H)
    pod = Pod.of(ONE)
    await play.kubelet.admit(pod)
    return pod


async def test_nothing_is_prepared_until_a_plugin_is_back_after_a_restart() -> None:
    """R30, R55: its options are not known meanwhile."""
    async with scene() as play:
        pod = await prepare(play)
        await play.kubelet.restart()
        await play.kubelet.start_container(pod, "c0")
        assert play.plugin.prepared == 0


async def test_a_stopped_plugin_cannot_prepare() -> None:
    """R28, R55: the container has to wait."""
    async with scene() as play:
        pod = await prepare(play)
        await play.plugin.stop()
        await play.reach(1, 0)
        with pytest.raises(StartError, match="has been stopped") as caught:
            await play.kubelet.start_container(pod, "c0")
        assert caught.value.reason == "CreateContainerConfigError"


async def test_the_clock_ends_limits_and_sleeps_when_it_is_advanced() -> None:
    """Minutes need not pass to have gone by."""
    clock = Clock()

    async def hold() -> None:
        async with clock.limit(300):
            await asyncio.Event().wait()

    async with patience(5):
        held, slept = asyncio.create_task(hold()), asyncio.create_task(clock.sleep(300))
        await asyncio.sleep(0)
        clock.advance(300)
        await slept
        with pytest.raises(TimeoutError):
            await held


@pytest.mark.parametrize("name", [f"{'a.' * 121}bc/x", f"a/{'x' * 63}", "a.b-c/X.y_z-9"])
async def test_names_up_to_the_limits_are_taken(name: str) -> None:
    """R14."""
    async with scene() as play:
        plugin = ScriptedPlugin(play.directory, name)
        plugin.send(a=H)
        await plugin.start()
        await plugin.register()
        await play.kubelet.until(lambda: play.kubelet.capacity(name) == Capacity(1, 1))
        await plugin.stop()


async def test_a_list_below_the_limit_is_taken() -> None:
    """R22: 53,000 ids of 63 characters are 4.1 MB."""
    async with scene() as play:
        await play.serve(**{f"{n:063}": H for n in range(53_000)})


async def test_the_last_of_two_equal_ids_is_the_one_in_the_table() -> None:
    """R23."""
    async with scene() as play:
        play.plugin.list_raw(("a", H), ("a", "Unhealthy"))
        await play.plugin.start()
        await play.plugin.register()
        await play.reach(2, 1)
        assert play.kubelet.devices(RESOURCE) == {"a": "Unhealthy"}
