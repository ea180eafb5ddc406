"""Where kubelets differ from version to version: docs/kubelet-versions.md, registration."""

import grpc.aio
import pytest

from kubelets.kinds import Kind
from kubelets.plugin import StreamPlugin
from kubelets.stage import A, H, Stage, each, from_version, since, stage
from nodeplug.testing import AdmissionError, Pod

OTHER = "kept/b.sock"
# The kubelet cannot get options from itself, so this endpoint is refused at once.
ITSELF = "kubelet.sock"
GONE = "endpoint .* has been stopped"


async def stream_end(play: Stage, number: int = 1) -> None:
    await play.kubelet.until(lambda: len(play.kubelet.journal.of("stream end", A)) >= number)


async def refusal(plugin: StreamPlugin, socket: str = "") -> str:
    """Register a plugin, perhaps with another socket, and return why that is refused."""
    own, plugin.socket = plugin.socket, socket or plugin.socket
    try:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await plugin.register()
    finally:
        plugin.socket = own
    return error.value.details() or ""


@each
async def test_the_end_of_an_older_stream_cuts_off_the_newer_up_to_1_36(kind: Kind) -> None:
    """A rolling update on a path of its own has no devices at its end; from 1.37 it has (R15)."""
    async with stage(kind) as play:
        old = await play.serve(a=H)
        new = await play.serve(A, OTHER, a=H, b=H)
        old.streams[0].end()
        if since(kind, "1.37"):
            await stream_end(play)
            await play.send(new, a=H, b=H, c=H)
            await play.reach(3, 3)
            assert not new.streams[0].ended.is_set()
        else:
            await new.streams[0].ended.wait()
            await play.reach(2, 0)


@each
async def test_the_end_of_the_newer_stream_leaves_the_older_in_charge_from_1_37(
    kind: Kind,
) -> None:
    """It is asked for devices that the newer one listed; up to 1.36 nobody is asked (R15)."""
    async with stage(kind) as play:
        old = await play.serve(a=H)
        new = await play.serve(A, OTHER, b=H)
        new.streams[0].end()
        await stream_end(play)
        if since(kind, "1.37"):
            await play.settle()
            await play.kubelet.admit(Pod.of({A: 1}))
            assert old.calls == [["b"]]
        else:
            await play.reach(1, 0)
            await play.send(old, a=H)
            with pytest.raises(AdmissionError, match=GONE):
                await play.kubelet.admit(Pod.of({A: 1}))


@each
async def test_of_several_plugins_any_may_be_asked_once_one_has_gone(kind: Kind) -> None:
    """By chance, and not the newest alone; up to 1.36 the newest is cut off (R15)."""
    async with stage(kind) as play:
        ids = {f"d{number}": H for number in range(12)}
        plugins = [await play.serve(A, f"kept/{number}.sock", **ids) for number in range(12)]
        for number, plugin in enumerate(plugins[:8] if since(kind, "1.37") else (), 1):
            plugin.streams[0].end()
            await stream_end(play, number)
            await play.settle()
            await play.kubelet.admit(Pod.of({A: 1}))
        if since(kind, "1.37"):
            assert len(plugins[-1].calls) < 8
        else:
            plugins[0].streams[0].end()
            await plugins[-1].streams[0].ended.wait()
            await play.reach(12, 0)


@each
async def test_a_path_can_be_registered_twice_up_to_1_36(kind: Kind) -> None:
    """From 1.37 the second Register is refused while the first stream lives (R15)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        if since(kind, "1.37"):
            assert await refusal(plugin) == (
                "device plugin already connected: /var/lib/kubelet/device-plugins/kept/a.sock"
            )
        else:
            await play.register(plugin)
            plugin.streams[0].end()
            await plugin.streams[1].ended.wait()
            await play.reach(1, 0)


@each
async def test_a_failed_registration_unties_the_living_one_up_to_1_36(kind: Kind) -> None:
    """Its end is overlooked then, and pods are sent to a plugin that is not there (R16)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        assert "failed to get device plugin options" in await refusal(plugin, ITSELF)
        await plugin.stop()
        await stream_end(play)
        if since(kind, "1.37"):
            await play.reach(1, 0)
        else:
            with pytest.raises(AdmissionError, match="connection error"):
                await play.kubelet.admit(Pod.of({A: 1}))
            await play.settle()
            assert play.figures() == (1, 1)


@from_version("1.37")
async def test_a_refused_path_unties_the_living_registration_from_1_37(kind: Kind) -> None:
    """Its end is overlooked then, and the path stays refused; another path is taken (R15, R16)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        await refusal(plugin)
        plugin.streams[0].end()
        await stream_end(play)
        assert "device plugin already connected" in await refusal(plugin)
        await play.settle()
        assert play.figures() == (1, 1)
        other = await play.serve(A, OTHER, a=H, b=H)
        other.streams[0].end()
        await stream_end(play, 2)
        await play.settle()
        await play.kubelet.admit(Pod.of({A: 1}))
        await play.settle()
        assert play.figures() == (2, 2)
        assert len(plugin.calls) == 1
