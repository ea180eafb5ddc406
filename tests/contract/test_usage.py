"""What is in use is asked of whichever kubelet is there."""

import asyncio
import socket
import time
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.holdings import Listing
from nodeplug.kubelet.evidence import CheckpointFile, ask_kubelet
from nodeplug.supervisor import usage
from nodeplug.testing import Container, Pod
from nodeplug.testing.patience import patience
from nodeplug.values.device import Health
from support.awkward.state import State
from support.stage import BOARD, SLICE, Stage, stage
from support.timed import on_this_machine, timed

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
        async with patience(5):
            while watch._pause < 60.0:  # noqa: ASYNC110 - a look that failed tells nobody
                await asyncio.sleep(0.01)
        await play.kubelet.start()
        async with patience(5):
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


@pytest.mark.usefixtures("impatient")
async def test_a_kubelet_that_does_not_know_its_pods_yet_proves_nothing(
    kind: Kind, looks: asyncio.Queue[None]
) -> None:
    """For seconds after its start it shows none, or as long as it reaches no API server (R47)."""
    async with stage(kind=kind) as play:
        pod, board = await given(play)
        play.set(State(renamed=(board,)))
        await play.kubelet.until(lambda: board in moved(play))
        await seen(play)
        await play.kubelet.stop()
        await play.kubelet.start(running={(pod.uid, "c0")}, ready=False)
        for _ in range(looks.qsize() + 2):
            async with patience(5):
                await looks.get()
        assert health(play, RENAMED, board) == health(play, BOARD, board) == Health.UNHEALTHY
        await play.kubelet.readmit(running=True)
        await play.kubelet.remove(pod)
        await play.listed(RENAMED, allocatable=1)


@pytest.mark.usefixtures("impatient")
async def test_an_agent_that_starts_before_the_kubelet_knows_what_is_in_use(kind: Kind) -> None:
    """The kubelet has written it down; the first list goes out before it can be asked (R66)."""
    async with stage(kind=kind) as play:
        pod, board = await given(play)
        await play.kubelet.stop()
        await play.stop_agent(play.agents[0])
        play.set(State(renamed=(board,)))
        play.start_agent()
        await play.kubelet.start(running={(pod.uid, "c0")}, ready=False)
        await play.lists(1, RENAMED)
        assert play.kubelet.devices(RENAMED) == {board: "Unhealthy"}
        await play.kubelet.readmit(running=True)
        await play.kubelet.remove(pod)
        await play.listed(RENAMED, allocatable=1)


@pytest.mark.usefixtures("impatient")
async def test_what_init_containers_have_is_known_to_the_next_agent(kind: Kind) -> None:
    """Pod resources leaves it out while it runs (R86)."""
    async with stage(kind=kind) as play:
        pod = Pod((Container("init", {BOARD: 4}, init=True), Container("app", {BOARD: 1})))
        runs = await play.kubelet.admit(pod)
        board = "awk-board-1" if "awk-board-0" in runs["app"].envs.values() else "awk-board-0"
        await play.stop_agent(play.agents[0])
        play.set(State(renamed=(board,)))
        play.start_agent()
        await play.lists(1, RENAMED)
        assert play.kubelet.devices(RENAMED) == {board: "Unhealthy"}
        await play.kubelet.remove(pod)
        await play.listed(RENAMED, allocatable=1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage, "_REPEAT_SECONDS", 1.0)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[None]:
    """Return a queue that grows by one with each answer of a kubelet."""
    answers: asyncio.Queue[None] = asyncio.Queue()

    async def ask(pod_resources: Path, checkpoint: CheckpointFile) -> Listing | None:
        listing = await ask_kubelet(pod_resources, checkpoint)
        if listing:
            answers.put_nowait(None)
        return listing

    monkeypatch.setattr(usage, "ask_kubelet", ask)
    return answers


async def seen(play: Stage) -> None:
    """Wait until pod resources has shown what was handed out."""
    holds = play.agent._holdings._holds
    while any(hold.unsettled for hold in holds.values()):  # noqa: ASYNC110 - a look tells nobody
        await asyncio.sleep(0.01)


def health(play: Stage, resource: str, device: str) -> Health:
    """Return what the agent says of a device."""
    [found] = [d for d in play.report(resource).pool.snapshot.devices if d.id == device]
    return found.health


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
            started = time.monotonic()
            async with patience(10):
                while play.agent._holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.01)
            assert time.monotonic() - started < on_this_machine(3)


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
        async with patience(10):
            while play.agent._holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
    assert time.monotonic() - started < on_this_machine(1.0)
