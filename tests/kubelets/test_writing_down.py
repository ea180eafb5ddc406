"""What a real kubelet writes down of its allocations, and when (R47, R66)."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from kubelets.kinds import Kind
from kubelets.plugin import Slow, StreamPlugin, refuse
from kubelets.stage import CHECKPOINT, A, B, H, Stage, each, stage, with_init
from nodeplug.testing import AdmissionError, Pod, StartError

BOTH = {A: 1, B: 1}


async def two_plugins(play: Stage) -> tuple[StreamPlugin, StreamPlugin]:
    return await play.serve(A, a0=H, a1=H), await play.serve(B, "kept/b.sock", b0=H, b1=H)


def note_what_is_written(play: Stage, pod: Pod, *plugins: StreamPlugin) -> list[set[str]]:
    """Note at each Allocate call for which resources the pod is in the checkpoint."""
    seen: list[set[str]] = []

    async def look() -> None:
        seen.append(set(play.written(pod)))

    for plugin in plugins:
        plugin.before_answer = look
    return seen


@each
async def test_neither_of_two_calls_for_a_container_sees_its_pod_written_down(kind: Kind) -> None:
    """The checkpoint comes after all answers for a container, in whatever order (R41, R66)."""
    async with stage(kind) as play:
        pod = Pod.of(BOTH)
        seen = note_what_is_written(play, pod, *await two_plugins(play))
        await play.kubelet.admit(pod)
        assert seen == [set(), set()]
        assert set(play.written(pod)) == {A, B}


@each
async def test_an_init_container_is_written_down_by_the_call_for_the_next(kind: Kind) -> None:
    """So a plugin that is asked for a container can read what those before it have (R46, R66)."""
    async with stage(kind) as play:
        pod = with_init(BOTH, BOTH)
        seen = note_what_is_written(play, pod, *await two_plugins(play))
        await play.kubelet.admit(pod)
        assert seen == [set(), set(), {A, B}, {A, B}]


@each
async def test_a_slow_plugin_delays_what_is_written_of_another(kind: Kind) -> None:
    """A device is given away long before the checkpoint says so, unless a list comes (R66)."""
    async with stage(kind) as play:
        first, second = await two_plugins(play)
        pod = with_init(BOTH, {})
        slow = Slow()

        async def wait_with_the_second() -> None:
            if len(first.calls) + len(second.calls) == 2:
                await slow()

        first.before_answer = second.before_answer = wait_with_the_second
        admission = asyncio.create_task(play.kubelet.admit(pod))
        await slow.called.wait()
        assert play.written(pod) == {}
        await play.send(first, a0=H, a1=H)
        assert len(play.written(pod)) == 1
        slow.go_on.set()
        await admission
        assert set(play.written(pod)) == {A, B}


@each
async def test_what_a_container_got_before_a_refusal_is_written_by_the_next_list(
    kind: Kind,
) -> None:
    """The pod is dead from its first moment, and in the checkpoint all the same (R42, R47)."""
    async with stage(kind) as play:
        first, second = await two_plugins(play)
        pod = Pod.of(BOTH)
        first.before_answer = second.before_answer = refuse_after(1, first, second)
        with pytest.raises(AdmissionError, match="refused"):
            await play.kubelet.admit(pod)
        assert play.written(pod) == {}
        await play.send(first, a0=H, a1=H)
        assert len(play.written(pod)) == 1


@each
async def test_what_earlier_containers_of_a_refused_pod_got_stays_written_down(
    kind: Kind,
) -> None:
    """Until the next pod with devices is admitted (R42, R47)."""
    async with stage(kind) as play:
        first, _ = await two_plugins(play)
        pod = Pod.of({A: 1}, {A: 1})
        first.before_answer = refuse_after(1, first)
        with pytest.raises(AdmissionError, match="refused"):
            await play.kubelet.admit(pod)
        assert len(play.written(pod)[A]) == 1
        await play.kubelet.admit(Pod.of({B: 1}))
        assert play.written(pod) == {}


def refuse_after(calls: int, *plugins: StreamPlugin) -> Callable[[], Awaitable[None]]:
    async def answer() -> None:
        if sum(len(plugin.calls) for plugin in plugins) > calls:
            await refuse()

    return answer


@each
async def test_a_pod_that_cannot_be_written_down_is_refused_after_the_call(kind: Kind) -> None:
    """The plugin has given a device to a container that will never start (R40, R66)."""
    async with stage(kind) as play:
        plugin, _ = await two_plugins(play)
        obstacle = play.kubelet.directory / CHECKPOINT
        obstacle.unlink()
        (obstacle / "inside").mkdir(parents=True)
        with pytest.raises(AdmissionError, match=f'failed to write checkpoint file "{CHECKPOINT}"'):
            await play.kubelet.admit(Pod.of({A: 1}))
        assert len(plugin.calls) == 1
        (obstacle / "inside").rmdir()
        obstacle.rmdir()
        await play.kubelet.admit(Pod.of({A: 2}))


def cut_off(text: str) -> str:
    return text[:-9]


def edited(text: str) -> str:
    """Return the file as somebody would leave it who takes a resource out by hand."""
    content = json.loads(text)
    content["Data"]["RegisteredDevices"].pop(B)
    return json.dumps(content)


@pytest.mark.parametrize("spoil", [cut_off, edited], ids=["cut off", "edited"])
@each
async def test_a_broken_checkpoint_forgets_all_allocations(
    kind: Kind, spoil: Callable[[str], str]
) -> None:
    """A device that is in use is given away again, and nobody is told (R32)."""
    async with stage(kind) as play:
        plugin, _ = await two_plugins(play)
        before = Pod.of({A: 2})
        await play.kubelet.admit(before)
        await play.kubelet.stop()
        checkpoint = play.kubelet.directory / CHECKPOINT
        checkpoint.write_text(spoil(checkpoint.read_text()))
        await play.kubelet.start(running={(before.uid, "c0")}, ready=False)
        await play.register(plugin)
        assert await play.kubelet.readmit(running=True) == []
        assert play.written(before) == {}
        await play.kubelet.admit(Pod.of({A: 2}))
        assert plugin.calls == [["a0", "a1"], ["a0", "a1"]]
        with pytest.raises(StartError, match="requested number of devices unavailable"):
            await play.kubelet.start_container(before, "c0")
