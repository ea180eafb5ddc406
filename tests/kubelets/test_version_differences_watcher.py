"""Where kubelets differ from version to version: docs/kubelet-versions.md, watcher mode."""

from kubelets.kinds import Kind
from kubelets.plugin import refuse
from kubelets.stage import A, B, H, Stage, each, hide, show, since, stage


async def look_again(play: Stage) -> None:
    """Let the kubelet go through its registry once more: it finds another plugin there."""
    await show(play, "more.sock", B, b=H)


@each
async def test_a_plugin_that_could_not_be_connected_is_not_tried_again_up_to_1_35(
    kind: Kind,
) -> None:
    """It has to show another socket; from 1.36 the kubelet tries again (R73, R75)."""
    async with stage(kind) as play:
        plugin = hide(play, "a.sock", a=H)
        plugin.before_options = refuse
        await plugin.start()
        await plugin.until_told()
        plugin.before_options = None
        assert "failed to get device plugin options" in plugin.told[0][1]
        if since(kind, "1.36"):
            await play.reach(1, 1)
        else:
            await look_again(play)
            assert len(plugin.introduced) == 1
            await play.settle()
            assert play.figures() is None


@each
async def test_a_registration_that_cannot_be_reported_is_undone_from_1_36(kind: Kind) -> None:
    """And tried again; up to 1.35 the plugin stays registered without knowing it (R75)."""
    async with stage(kind) as play:
        plugin = hide(play, "a.sock", a=H)
        plugin.deaf = True
        await plugin.start()
        await plugin.until_told()
        if since(kind, "1.36"):
            await play.kubelet.until(lambda: bool(play.kubelet.journal.of("stream end", A)))
            plugin.deaf = False
            await plugin.until_told(2)
        else:
            await look_again(play)
            assert len(plugin.introduced) == 1
        await play.reach(1, 1)


@each
async def test_a_socket_that_goes_takes_the_newer_of_its_name_along_up_to_1_36(
    kind: Kind,
) -> None:
    """From 1.37 only the plugin that had it is let go (R77)."""
    async with stage(kind) as play:
        old = await show(play, "a.sock", a=H)
        new = await show(play, "b.sock", a=H, b=H)
        await play.reach(2, 2)
        old.path.unlink()
        if since(kind, "1.37"):
            await old.streams[0].ended.wait()
            await play.settle()
            assert play.figures() == (2, 2)
        else:
            await new.streams[0].ended.wait()
            await play.reach(2, 0)
