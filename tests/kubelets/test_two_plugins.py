"""What a real kubelet makes of two plugins for one resource (R15, R21)."""

import pytest

from kubelets.kinds import Kind
from kubelets.stage import A, H, U, each, from_version, stage
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


@from_version("1.37")
async def test_of_several_plugins_any_may_be_asked_once_one_has_gone(kind: Kind) -> None:
    """Not the newest: the kubelet takes the next best of those left, by chance (R15)."""
    async with stage(kind) as play:
        ids = {f"d{number}": H for number in range(12)}
        plugins = [await play.serve(A, f"kept/{number}.sock", **ids) for number in range(12)]
        for number, plugin in enumerate(plugins[:8], 1):
            plugin.streams[0].end()
            await play.kubelet.until(
                lambda number=number: len(play.kubelet.journal.of("stream end")) == number  # type: ignore[misc]
            )
            await play.settle()
            await play.kubelet.admit(Pod.of({A: 1}))
        assert len(plugins[-1].calls) < 8
