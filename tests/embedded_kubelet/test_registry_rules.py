"""The embedded kubelet registers, lists and forgets plugins as the real one does."""

import asyncio
import socket
import time
from typing import TYPE_CHECKING

import grpc
import grpc.aio
import pytest

from nodeplug.testing import Clock, Profile
from support.scripted import RESOURCE, Scene, ScriptedPlugin, scene
from support.timed import on_this_machine, timed

if TYPE_CHECKING:
    from pathlib import Path

H, U = "Healthy", "Unhealthy"


async def refusal(plugin: ScriptedPlugin, version: str = "v1beta1") -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await plugin.register(version)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    return caught.value.details() or ""


async def second(play: Scene, socket_name: str = "b.sock") -> ScriptedPlugin:
    plugin = ScriptedPlugin(play.directory, socket=socket_name)
    plugin.send(x=H, y=H, z=H)
    await plugin.start()
    await plugin.register()
    await play.reach(3, 3)
    return plugin


async def test_start_removes_sockets_and_links_to_them_and_nothing_else() -> None:
    """R5: top level only."""
    async with scene() as play:
        await play.kubelet.stop()
        (play.directory / "sub").mkdir()
        paths = [play.directory / "own.sock", play.directory / "sub/own.sock"]
        bound = [socket.socket(socket.AF_UNIX) for _ in paths]
        for each, path in zip(bound, paths, strict=True):
            each.bind(str(path))
        (play.directory / "link").symlink_to("own.sock")
        (play.directory / "dangling").symlink_to("nowhere")
        (play.directory / "file").touch()
        await play.kubelet.start()
        left = {str(path.relative_to(play.directory)) for path in play.directory.rglob("*")}
        for each in bound:
            each.close()
        expected = {"sub", "sub/own.sock", "dangling", "file", "kubelet.sock"}
        assert left - {"kubelet_internal_checkpoint"} == expected


async def test_a_dead_kubelet_leaves_a_socket_that_refuses() -> None:
    """R6."""
    async with scene() as play:
        await play.kubelet.stop()
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
            client.connect(str(play.directory / "kubelet.sock"))


async def test_the_version_is_looked_at_before_the_name() -> None:
    """R13: order and texts."""
    async with scene() as play:
        wrong = ScriptedPlugin(play.directory, "not-a-name")
        assert "not supported by kubelet" in await refusal(wrong, "v1alpha1")
        assert "is invalid" in await refusal(wrong)


@pytest.mark.parametrize(
    "name",
    ["a.kubernetes.io/x", "A.b/x", "a/b/c", "requests.a/b", f"{'a' * 245}/b", "a/" + "x" * 64],
)
async def test_names_that_are_no_extended_resources_are_refused(name: str) -> None:
    """R14."""
    async with scene() as play:
        assert "is invalid" in await refusal(ScriptedPlugin(play.directory, name))


@timed
async def test_a_plugin_that_does_not_serve_is_dialled_for_ten_seconds() -> None:
    """R12: of the kubelet's own time."""
    async with scene(clock=Clock(scale=50)) as play:
        started = time.monotonic()
        assert "failed to dial device plugin" in await refusal(ScriptedPlugin(play.directory))
        assert 0.15 < time.monotonic() - started < on_this_machine(2)


async def test_registering_publishes_nothing() -> None:
    """R19: the resource comes with its first list."""
    async with scene() as play:
        await play.serve(a=H)
        registered = play.kubelet.journal.of("register")[0].at
        assert registered <= play.kubelet.journal.of("list")[0].at


async def test_each_list_replaces_the_last_one() -> None:
    """R21: an empty one too."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        play.plugin.send(c=H)
        await play.reach(1, 1)
        play.plugin.send()
        await play.reach(0, 0)


async def test_only_one_word_means_healthy() -> None:
    """R23; and an id sent in both healths is counted twice."""
    async with scene() as play:
        await play.serve(a=H, b="healthy", c="")
        play.plugin.list_raw(("a", H), ("a", U))
        await play.reach(2, 1)


async def test_a_message_beyond_four_mebibytes_ends_the_stream() -> None:
    """R22: what was listed stays as capacity."""
    async with scene() as play:
        await play.serve(a=H)
        play.plugin.send(**{f"d{n}{'x' * 55}": H for n in range(70_000)})
        await play.reach(1, 0)


async def test_an_ended_stream_is_not_opened_again() -> None:
    """R24: the plugin has to register anew."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.drop_streams(RESOURCE)
        await play.reach(1, 0)
        await play.plugin.register()
        await play.reach(1, 1)


async def test_capacity_outlives_a_plugin_by_five_minutes() -> None:
    """R28."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        await play.plugin.stop()
        await play.reach(2, 0)
        play.kubelet.clock.advance(299)
        before = play.figures()
        play.kubelet.clock.advance(2)
        assert (before, play.figures()) == ((2, 0), (0, 0))


async def test_after_a_restart_a_known_resource_is_empty_until_listed() -> None:
    """R30."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.restart()
        assert play.figures() == (0, 0)


async def test_up_to_1_36_an_old_stream_s_end_takes_the_new_registration_along() -> None:
    """R15, the fault."""
    async with scene(profile=Profile.V1_36) as play:
        await play.serve(a=H)
        new = await second(play)
        await play.plugin.stop()
        await play.reach(3, 0)
        await play.kubelet.until(lambda: len(play.kubelet.journal.of("stream end")) == 2)
        await new.stop()


async def test_from_1_37_on_an_old_stream_s_end_leaves_the_new_registration_alone() -> None:
    """R15, mended: clients are told apart by their socket."""
    async with scene(profile=Profile.V1_37) as play:
        await play.serve(a=H)
        new = await second(play)
        await play.plugin.stop()
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("stream end")))
        assert play.figures() == (3, 3)
        new.send(x=H)
        await play.reach(1, 1)
        await new.stop()


async def test_up_to_1_36_a_failed_registration_hides_the_old_plugin_s_death() -> None:
    """R16: capacity that never goes away."""
    async with scene(profile=Profile.V1_36, clock=Clock(scale=100)) as play:
        await play.serve(a=H)
        await refusal(ScriptedPlugin(play.directory, socket="nobody.sock"))
        await play.plugin.stop()
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("stream end")))
        assert play.figures() == (1, 1)


async def test_every_list_rewrites_the_checkpoint() -> None:
    """R3: by rename, readable by root alone."""
    async with scene() as play:
        await play.serve(a=H)
        file: Path = play.directory / "kubelet_internal_checkpoint"
        before = file.stat()
        play.plugin.send(a=U)
        await play.reach(1, 0)
        await asyncio.sleep(0)
        after = file.stat()
        assert after.st_ino != before.st_ino or after.st_mtime_ns != before.st_mtime_ns
        assert after.st_mode & 0o777 == 0o600
