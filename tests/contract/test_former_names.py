"""Names that only pods have by now: their resource was renamed while no agent ran."""

import pytest

from kubelets.kinds import Kind
from nodeplug.offers import OfferRule
from nodeplug.testing import AdmissionError, Pod
from support.stage import BOARD, Stage, stage

RENAMED = "renamed.example.com/board"


async def rename_while_down(play: Stage) -> Pod:
    """Let a pod have a board of a resource that the next agent calls otherwise."""
    agent = play.start_agent()
    await play.listed(allocatable=4)
    pod = Pod.of({BOARD: 1})
    await play.kubelet.admit(pod)
    await play.stop_agent(agent)
    play.rules = [OfferRule(resource=BOARD, rename=RENAMED)]
    play.start_agent()
    await play.listed(RENAMED, allocatable=3)
    return pod


async def test_a_container_restarts_under_the_name_that_its_resource_had(kind: Kind) -> None:
    """R28: five minutes after a resource has gone, a kubelet starts none of its containers."""
    async with stage(agents=0, kind=kind) as play:
        pod = await rename_while_down(play)
        [board] = play.kubelet.held(BOARD)
        await play.kubelet.until(lambda: play.kubelet.devices(BOARD) == {board: "Unhealthy"})
        await play.kubelet.pass_grace()
        await play.kubelet.start_container(pod, "c0")
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({BOARD: 1}))


async def test_a_former_name_is_served_no_longer_than_pods_have_its_devices(kind: Kind) -> None:
    """The device is free under its new name then, and the old one has none."""
    async with stage(agents=0, kind=kind) as play:
        pod = await rename_while_down(play)
        await play.kubelet.remove(pod)
        await play.listed(RENAMED, allocatable=4)
        await play.kubelet.until(lambda: play.kubelet.devices(BOARD) == {})
        await play.stop_agent(play.agents[0])
        before = len(play.kubelet.journal.of("register", BOARD))
        play.start_agent()
        await play.listed(RENAMED, allocatable=4)
        assert len(play.kubelet.journal.of("register", BOARD)) == before


async def test_a_name_is_served_again_if_it_returns(kind: Kind) -> None:
    """By the backend that had it: its devices can be given."""
    async with stage(agents=0, kind=kind) as play:
        await rename_while_down(play)
        play.rules = []
        await play.reload()
        await play.listed(BOARD, allocatable=4)
        await play.kubelet.admit(Pod.of({BOARD: 3}))
