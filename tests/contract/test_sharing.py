"""C15, and what is offered otherwise than the backend names it."""

import asyncio

import pytest

from kubelets.kinds import Kind
from nodeplug.offers import OfferRule
from nodeplug.testing import AdmissionError, Pod
from support.awkward.state import State
from support.stage import BOARD, SLICE, stage

SHARED = f"{BOARD}.shared"


async def test_c15_a_preference_is_asked_for_and_followed(kind: Kind) -> None:
    """R49: slices of one board, since `packed` leaves the others whole."""
    async with stage(agents=0, kind=kind) as play:
        play.rules = [OfferRule(resource=SLICE, policy="packed")]
        play.start_agent()
        await play.listed(SLICE, allocatable=8)
        await play.kubelet.admit(Pod.of({SLICE: 1}))
        await play.kubelet.admit(Pod.of({SLICE: 1}))
        assert play.kubelet.held(SLICE) == {"awk-board-0-slice-0", "awk-board-0-slice-1"}
        assert len(play.kubelet.journal.of("preferred", SLICE)) == 2


async def test_replicas_of_a_device_fall_sick_and_recover_together(kind: Kind) -> None:
    """One board, three containers; all are told at once."""
    async with stage(agents=0, kind=kind) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=3, mark_shared=True)]
        play.start_agent()
        await play.listed(SHARED, allocatable=12)
        play.set(State(sick=("awk-board-0",)))
        await play.listed(SHARED, allocatable=9)
        play.set(State())
        await play.listed(SHARED, allocatable=12)
        assert await play.lists(3, SHARED) == [12, 12, 12]


async def test_a_device_held_twice_by_one_container_is_injected_once(kind: Kind) -> None:
    """Two replicas of one board are one device node."""
    async with stage(State(boards=1), agents=0, kind=kind) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=2)]
        play.start_agent()
        await play.listed(allocatable=2)
        runs = await play.kubelet.admit(Pod.of({BOARD: 2}))
        assert list(runs["c0"].devices) == ["/dev/awk-board-0"]
        assert runs["c0"].envs["AWKWARD_BOARD"] == "awk-board-0"


async def test_asking_for_several_replicas_can_be_refused(kind: Kind) -> None:
    """The pod fails with the reason; the devices stay on offer."""
    async with stage(agents=0, kind=kind) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=2, fail_requests_greater_than_one=True)]
        play.start_agent()
        await play.listed(allocatable=8)
        with pytest.raises(AdmissionError, match="a container may ask for one device only"):
            await play.kubelet.admit(Pod.of({BOARD: 2}))
        await play.kubelet.admit(Pod.of({BOARD: 1}))
        assert play.allocatable() == 8


async def test_a_device_that_is_shared_no_longer_waits_for_its_containers(
    kind: Kind,
) -> None:
    """Un-shared at an agent's restart while a pod holds a replica: never given away twice."""
    async with stage(agents=0, kind=kind) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=2, mark_shared=True)]
        agent = play.start_agent()
        await play.listed(SHARED, allocatable=8)
        pod = Pod.of({SHARED: 1})
        await play.kubelet.admit(pod)
        await play.stop_agent(agent)
        play.rules = []
        play.start_agent()
        await play.listed(BOARD, allocatable=3)
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({BOARD: 4}))
        await play.kubelet.remove(pod)
        await play.listed(BOARD, allocatable=4)


@pytest.mark.parametrize(
    "after",
    [
        OfferRule(resource=BOARD, rename="renamed.example.com/board"),
        OfferRule(resource=BOARD, split_by="board"),
        OfferRule(resource=BOARD, replicas=3, mark_shared=True),
    ],
    ids=["renamed", "split", "shared"],
)
async def test_a_device_that_moves_while_held_is_never_given_away_twice(
    kind: Kind, after: OfferRule
) -> None:
    """By a reload, with a kubelet restart and an agent restart in between; R33."""
    async with stage(agents=0, kind=kind) as play:
        agent = play.start_agent()
        await play.listed(allocatable=4)
        pod = Pod.of({BOARD: 4})
        await play.kubelet.admit(pod)
        play.rules = [after]
        await play.reload()
        await play.listed(BOARD, allocatable=0)
        await play.kubelet.restart()
        await play.stop_agent(agent)
        public = after.public_name if not after.split_by else f"{BOARD}-0"
        before = len(play.kubelet.journal.of("list", public))
        play.start_agent()
        await play.lists(before + 1, public)
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({public: 1}))
        await play.kubelet.remove(pod)
        await play.kubelet.until(lambda: play.allocatable(public) > 0)
        await play.kubelet.admit(Pod.of({public: 1}))


@pytest.mark.parametrize("event", ["reload", "agent", "kubelet", "both"])
@pytest.mark.parametrize(("before", "after"), [(1, 4), (4, 1)])
async def test_a_device_in_use_is_not_given_again_when_it_is_shared_otherwise(
    kind: Kind, before: int, after: int, event: str
) -> None:
    """Under the same name: one that has it alone, or shares it, did not agree to anything else."""
    async with stage(State(boards=2), agents=0, kind=kind) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=before)]
        agent = play.start_agent()
        await play.listed(allocatable=2 * before)
        pod = Pod.of({BOARD: 1})
        await play.kubelet.admit(pod)
        play.rules = [OfferRule(resource=BOARD, replicas=after)]
        if event in {"agent", "both"}:
            await play.stop_agent(agent)
            play.start_agent()
        else:
            await play.reload()
        if event in {"kubelet", "both"}:
            await play.kubelet.restart()
        await play.listed(allocatable=after)
        for _ in range(after):
            await play.kubelet.admit(Pod.of({BOARD: 1}))
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({BOARD: 1}))
        await play.kubelet.remove(pod)
        await play.listed(allocatable=2 * after)


async def test_replicas_of_one_device_go_to_containers_at_the_same_time(
    kind: Kind,
) -> None:
    """Sharing is what it says: all of them run at once."""
    async with stage(State(boards=1), agents=0, kind=kind) as play:
        play.rules = [OfferRule(resource=BOARD, replicas=4)]
        play.start_agent()
        await play.listed(allocatable=4)
        pods = [Pod.of({BOARD: 1}) for _ in range(4)]
        await asyncio.gather(*(play.kubelet.admit(pod) for pod in pods))
        assert len(play.kubelet.held(BOARD)) == 4
