"""How the embedded kubelet gets to a plugin that registers, and how it takes a failure."""

import asyncio
import time
from typing import Any

import grpc
import grpc.aio
import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.testing import Clock, Pod, Profile
from support.scripted import RESOURCE, Scene, ScriptedPlugin, scene
from support.timed import on_this_machine, timed

H = "Healthy"


class Reticent(ScriptedPlugin):
    """Does not tell its options."""

    asked_for_options = 0
    patience: asyncio.Event | None = None

    async def GetDevicePluginOptions(  # noqa: N802
        self, _request: api.Empty, context: Any
    ) -> api.DevicePluginOptions:
        self.asked_for_options += 1
        if self.patience:
            await self.patience.wait()
        await context.abort(grpc.StatusCode.INTERNAL, "not telling")
        raise AssertionError


class Speechless(ScriptedPlugin):
    """Ends its stream before any list."""

    async def ListAndWatch(self, _request: api.Empty, context: Any) -> Any:  # noqa: N802
        await context.abort(grpc.StatusCode.INTERNAL, "no list")
        yield


async def refusal(play: Scene, endpoint: str) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ScriptedPlugin(play.directory, socket=endpoint).register()
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    return caught.value.details() or ""


@timed
@pytest.mark.parametrize("endpoint", ["", "nobody.sock", "x" * 108, "../elsewhere.sock"])
async def test_whatever_cannot_be_dialled_costs_ten_seconds(endpoint: str) -> None:
    """R12, R13: the directory itself, nothing, a path too long."""
    async with scene(clock=Clock(scale=50)) as play:
        started = time.monotonic()
        text = await refusal(play, endpoint)
        assert text == "failed to dial device plugin: context deadline exceeded"
        assert 0.15 < time.monotonic() - started < on_this_machine(2)


async def test_the_kubelet_s_own_socket_is_no_plugin() -> None:
    """R13: known at once."""
    async with scene() as play:
        text = await refusal(play, "kubelet.sock")
        assert text.startswith("failed to get device plugin options: rpc error: code = Unimpl")


@pytest.mark.parametrize("endpoint", ["/a.sock", "x/../a.sock", "./a.sock", "//a.sock"])
async def test_an_endpoint_is_joined_to_the_directory(endpoint: str) -> None:
    """R13: an absolute one too, and dots are resolved."""
    async with scene() as play:
        play.plugin.send(a=H)
        await play.plugin.start()
        play.plugin.socket = endpoint
        await play.plugin.register()
        await play.reach(1, 1)


async def test_a_plugin_in_a_sub_directory_survives_a_start() -> None:
    """R7."""
    async with scene() as play:
        (play.directory / "sub").mkdir()
        play.plugin.socket = "sub/a.sock"
        await play.serve(a=H)
        await play.kubelet.restart()
        await play.plugin.register()
        await play.reach(1, 1)


async def test_a_plugin_that_withholds_its_options_is_asked_once_and_left_alone() -> None:
    """R18: the resource does not exist."""
    async with scene() as play:
        plugin = Reticent(play.directory)
        await plugin.start()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await plugin.register()
        await plugin.stop()
        text = "failed to get device plugin options: rpc error: code = Internal desc = not telling"
        assert caught.value.details() == text
        assert (plugin.asked_for_options, play.figures()) == (1, None)


async def test_options_must_come_before_the_registration_s_own_deadline() -> None:
    """R18: no other limit holds for them."""
    async with scene() as play:
        plugin = Reticent(play.directory)
        plugin.patience = asyncio.Event()
        await plugin.start()
        request = api.RegisterRequest(version="v1beta1", endpoint="a.sock", resource_name=RESOURCE)
        target = f"unix:{play.directory / 'kubelet.sock'}"
        async with grpc.aio.insecure_channel(target) as channel:
            with pytest.raises(grpc.aio.AioRpcError):
                await api_grpc.RegistrationStub(channel).Register(request, timeout=0.2)
        await play.kubelet.until(lambda: bool(play.kubelet.journal.of("register")))
        await plugin.stop()
        assert "code = DeadlineExceeded" in play.kubelet.journal.of("register")[0].detail


async def test_the_kubelet_calls_its_plugin_localhost() -> None:
    """R20: not by the path of the socket, which strict servers refuse."""
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\4\0\0\0\0\0")  # HTTP/2: our settings, none.
        heard.set_result(await reader.readuntil(b"GetDevicePluginOptions") + await reader.read(500))
        writer.close()

    async with scene() as play:
        async with await asyncio.start_unix_server(listen, play.directory / "a.sock"):
            await refusal(play, "a.sock")
        assert b"localhost" in await heard


async def test_a_stream_that_ends_before_any_list_leaves_a_resource_of_nothing() -> None:
    """R29: the node shows it, and a pod that wants some is admitted with nothing."""
    async with scene() as play:
        plugin = Speechless(play.directory)
        await plugin.start()
        await plugin.register()
        await play.reach(0, 0)
        runs = await play.kubelet.admit(Pod.of({plugin.resource: 1}))
        assert (runs["c0"].envs, play.kubelet.held(plugin.resource)) == ({}, set())
        await plugin.stop()


async def test_an_old_plugin_still_feeds_what_a_new_one_has_registered() -> None:
    """R15: whichever list comes last counts."""
    async with scene(profile=Profile.V1_36) as play:
        await play.serve(a=H)
        new = ScriptedPlugin(play.directory, socket="b.sock")
        new.send(x=H, y=H, z=H)
        await new.start()
        await new.register()
        await play.reach(3, 3)
        play.plugin.send(a=H, b=H)
        await play.reach(2, 2)
        await new.stop()


async def test_from_1_37_on_a_failed_registration_hides_nothing() -> None:
    """R16, mended."""
    async with scene(profile=Profile.V1_37, clock=Clock(scale=100)) as play:
        await play.serve(a=H)
        await refusal(play, "nobody.sock")
        await play.plugin.stop()
        await play.reach(1, 0)
