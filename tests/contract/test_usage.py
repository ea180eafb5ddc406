"""What is in use is asked of whichever kubelet is there."""

import asyncio
import socket
import time

import pytest

from kubelets.kinds import Kind
from nodeplug.supervisor import usage
from nodeplug.testing import Pod
from support.awkward.state import State
from support.stage import BOARD, SLICE, Stage, stage
from support.timed import timed

RENAMED = "awkward.example.com/board-renamed"


async def test_a_kubelet_that_is_back_is_asked_at_once(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the pauses had become while there was none."""
    monkeypatch.setattr(usage, "_LONGEST_PAUSE", 60.0)
    async with stage(kind=kind) as play:
        watch, holdings = play.agent._usage, play.agent._holdings
        await play.kubelet.stop()
        watch._pause = 30.0
        holdings.doubt.set()
        async with asyncio.timeout(5):
            while watch._pause < 60.0:  # noqa: ASYNC110 - a look that failed tells nobody
                await asyncio.sleep(0.01)
        await play.kubelet.start()
        async with asyncio.timeout(5):
            while holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)


async def test_a_record_older_than_the_end_of_a_pod_holds_nothing_back(kind: Kind) -> None:
    """The kubelet frees devices in memory, and writes that down at the next list only (R47)."""
    async with stage(kind=kind) as play:
        await play.listed(SLICE, allocatable=8)
        for number in (1, 2):
            pod, board = await given(play)
            play.set(State(renamed=tuple({*moved(play), board})))
            await play.kubelet.until(lambda board=board: board in moved(play))  # type: ignore[misc]
            end_unrecorded(play, pod)
            back = lambda number=number: play.allocatable(RENAMED) == number  # noqa: E731
            await play.kubelet.until(back, 5)


async def given(play: Stage) -> tuple[Pod, str]:
    """Return a pod that the agent has not seen yet in any answer, and its board."""
    await play.kubelet.admit(Pod.of({SLICE: 1}))
    while play.agent._holdings.doubt.is_set():  # noqa: ASYNC110 - a look tells nobody
        await asyncio.sleep(0.01)
    before, pod = play.kubelet.held(BOARD), Pod.of({BOARD: 1})
    await play.kubelet.admit(pod)
    [board] = play.kubelet.held(BOARD) - before
    return pod, board


def moved(play: Stage) -> set[str]:
    return set(play.kubelet.devices(RENAMED))


def end_unrecorded(play: Stage, pod: Pod) -> None:
    """End a pod; the next answer frees its devices, the checkpoint stays as it is."""
    play.kubelet.terminate(pod)


@timed
async def test_a_question_to_a_kubelet_that_has_gone_holds_nothing_up(kind: Kind) -> None:
    """One that died with the question open never answers, and asking is limited to 5 s."""
    async with stage(kind=kind) as play:
        await play.kubelet.stop(unlink=True)
        play.pod_resources.unlink()
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(play.pod_resources))
            deaf.listen()
            deaf.setblocking(False)
            play.agent._holdings.doubt.set()
            open_question, _ = await asyncio.get_running_loop().sock_accept(deaf)
        with open_question:
            await play.kubelet.start()
            async with asyncio.timeout(3):
                while play.agent._holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.01)


@timed
async def test_a_kubelet_that_is_not_ready_to_be_asked_is_asked_again_soon(kind: Kind) -> None:
    """kubelet.sock may be there before the pod resources socket is."""
    async with stage(kind=kind) as play:
        play.agent._usage._pod_resources = later = play.host.root / "later.sock"
        await play.kubelet.restart()
        await play.listed(allocatable=4)
        started = time.monotonic()
        assert play.agent._holdings.doubt.is_set()
        later.symlink_to(play.pod_resources)
        async with asyncio.timeout(10):
            while play.agent._holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
    assert time.monotonic() - started < 1.0
