"""What a real kubelet makes of two plugins for one resource (R15, R21)."""

import pytest

from kubelets.kinds import Kind
from kubelets.stage import A, H, U, each, stage
from nodeplug.testing import AdmissionError, Pod

OTHER = "kept/b.sock"


@each
async def test_the_last_list_counts_whoever_sent_it(kind: Kind) -> None:
    """The kubelet keeps one list of a resource, not one for each plugin (R15, R21)."""
    async with stage(kind) as play:
        old = await play.serve(a=H)
        new = await play.serve(A, OTHER, b=H, c=H)
        assert play.kubelet.devices(A) == {"b": H, "c": H}
        await play.send(old, a=U)
        assert play.kubelet.devices(A) == {"a": U}
        await play.send(new, b=H)
        assert play.kubelet.devices(A) == {"b": H}


@each
async def test_an_empty_list_in_farewell_takes_the_devices_of_the_successor_away(
    kind: Kind,
) -> None:
    """So one that leaves ends its stream and says nothing; the next list puts it right (R21)."""
    async with stage(kind) as play:
        old = await play.serve(a=H)
        new = await play.serve(A, OTHER, a=H)
        await play.send(old)
        assert play.figures() == (0, 0)
        assert not new.streams[0].ended.is_set()
        with pytest.raises(AdmissionError, match="no healthy devices present"):
            await play.kubelet.admit(Pod.of({A: 1}))
        await play.send(new, a=H)
        assert play.figures() == (1, 1)


@each
async def test_the_newer_plugin_is_asked_for_what_the_older_has_listed(kind: Kind) -> None:
    """A list of the old one is answered for by the new one, which may know better (R15)."""
    async with stage(kind) as play:
        old = await play.serve(a=H)
        new = await play.serve(A, OTHER, b=H)
        await play.send(old, a=H)
        await play.kubelet.admit(Pod.of({A: 1}))
        assert (old.calls, new.calls) == ([], [["a"]])


@each
async def test_a_path_is_free_again_after_its_stream_has_ended(kind: Kind) -> None:
    """In every version a plugin that has lost its stream may come back as it was (R15, R24)."""
    async with stage(kind) as play:
        plugin = await play.serve(a=H)
        plugin.streams[0].end()
        await play.reach(1, 0)
        await play.register(plugin)
        await play.reach(1, 1)
