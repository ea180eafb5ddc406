"""Names that only pods have by now: their resource was renamed while no agent ran."""

from dataclasses import replace
from typing import Any

import pytest

from kubelets.kinds import Kind
from nodeplug.backend import Backend, BackendSpec
from nodeplug.offers import OfferRule
from nodeplug.testing import AdmissionError, Pod
from support.awkward.backend import SPEC
from support.stage import BOARD, Stage, stage

RENAMED = "renamed.example.com/board"


def late() -> BackendSpec:
    """Return a backend that does not work at once."""
    troubles = [OSError("the driver is not loaded")]

    def build(*given: Any) -> Backend:
        if troubles:
            raise troubles.pop()
        return SPEC.build(*given)

    return replace(SPEC, build=build)


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


async def test_the_first_list_after_a_restart_is_whole(kind: Kind) -> None:
    """R25: devices that pods have are not listed alone while a backend is still looking."""
    async with stage(agents=0, kind=kind) as play:
        agent = play.start_agent()
        await play.listed(allocatable=4)
        await play.kubelet.admit(Pod.of({BOARD: 1}))
        await play.stop_agent(agent)
        lists = play.kubelet.journal.of("list", BOARD)
        play.start_agent(late())
        await play.kubelet.until(lambda: play.kubelet.journal.of("list", BOARD) != lists)
        assert play.kubelet.journal.of("list", BOARD)[len(lists)].count == 4
