"""A name that several want: a backend's own name is its own, whoever comes first."""

import pytest

from nodeplug.allocation import BackendHandle
from nodeplug.host.host import open_host
from nodeplug.offers import OfferRule
from nodeplug.supervisor.agent import Rules
from nodeplug.testing import AdmissionError, Pod
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from support.awkward.backend import SPEC
from support.backends_stage import backends_stage, custom, files
from support.stage import BOARD, Stage, stage

OTHER = "example.com/other"
TO_OTHER = OfferRule(resource=BOARD, rename=OTHER)
THING = "example.com/thing"


def found(*ids: str, resource: str = OTHER) -> Inventory:
    return Inventory.of((Device(id=each, resource=resource) for each in ids), resources=[resource])


async def served(play: Stage, **ids: set[str]) -> None:
    """Wait until the resources with these last names have these devices and no others."""

    def holds() -> bool:
        names = {"other": OTHER, "board": BOARD}
        return all(set(play.kubelet.devices(names[key])) == each for key, each in ids.items())

    await play.kubelet.until(holds)


BOARDS = {f"awk-board-{number}" for number in range(4)}


@pytest.mark.parametrize("first", ["custom", "sriov_net"])
async def test_a_resource_is_not_renamed_to_another_backend_s(first: str) -> None:
    """A pod that asks for a network function gets one, never a serial port."""
    async with backends_stage() as play:
        adapters = play.simulator("sriov_net")
        play.node("/dev/t0", 10)
        sections = {
            **custom(files(THING, "/dev/t0")),
            "sriov_net": dict(adapters.settings),
        }
        order = sorted(sections, key=lambda name: name != first)
        rule = OfferRule(resource=THING, rename=adapters.resource)
        play.start({name: sections[name] for name in order}, rule)
        await play.listed(THING, 1)
        await play.kubelet.until(lambda: play.allocatable(adapters.resource) > 0)
        assert "dev:t0" not in play.health(adapters.resource)
        lists = play.kubelet.journal.of("list", adapters.resource)
        assert 1 not in {event.count for event in lists}


async def test_a_backend_that_comes_later_gets_its_own_name_back() -> None:
    """The other's devices have their own, too."""
    async with stage() as play:
        await play.agent.apply(Rules([TO_OTHER]), {})
        await served(play, other=BOARDS, board=set())
        await play.agent.publish(BackendHandle("other"), found("o1"))
        await served(play, other={"o1"}, board=BOARDS)


async def test_what_a_pod_has_by_a_name_that_changes_hands_is_given_to_nobody() -> None:
    """R33: its id stays listed by that name, Unhealthy, until the pod has ended."""
    async with stage() as play:
        await play.agent.apply(Rules([TO_OTHER]), {})
        await play.listed(OTHER, allocatable=4)
        pod = Pod.of({OTHER: 1})
        await play.kubelet.admit(pod)
        [held] = play.kubelet.held(OTHER)
        await play.agent.publish(BackendHandle("other"), found("o1"))
        await play.listed(BOARD, allocatable=3)
        await play.listed(OTHER, allocatable=1)
        assert play.kubelet.devices(OTHER)[held] == "Unhealthy"
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({BOARD: 4}))
        await play.kubelet.remove(pod)
        await served(play, other={"o1"}, board=BOARDS)
        await play.listed(BOARD, allocatable=4)


async def test_a_device_of_the_new_owner_is_given_by_the_new_owner() -> None:
    """The allocation is its own, not that of whoever had the name before."""
    async with stage() as play:
        await play.agent.apply(Rules([TO_OTHER]), {})
        await play.listed(OTHER, allocatable=4)
        other = BackendHandle(
            "other", SPEC.build(SPEC.settings(), open_host(str(play.host.root)), None)
        )
        await play.agent.publish(other, found("o1"))
        await served(play, other={"o1"})
        runs = await play.kubelet.admit(Pod.of({OTHER: 1}))
        assert runs["c0"].envs == {"AWKWARD_OTHER": "o1"}


async def test_a_name_that_was_another_backend_s_is_given_when_that_has_it_no_more() -> None:
    """Without a reload."""
    async with stage() as play:
        other = BackendHandle("other")
        await play.agent.publish(other, found("o1"))
        await play.agent.apply(Rules([TO_OTHER]), {})
        await served(play, other={"o1"}, board=BOARDS)
        await play.agent.publish(other, Inventory.of([]))
        await served(play, other=BOARDS, board=set())


async def test_of_two_backends_that_call_a_resource_alike_one_serves_it() -> None:
    """The one that is named first, however late it comes; the other's devices are not mixed in."""
    async with stage() as play:
        await play.agent.publish(BackendHandle("late"), found("o1", resource=BOARD))
        await served(play, board=BOARDS)
        [trouble] = play.agent._offering.troubles("late")
        assert (trouble.kind, trouble.subject) == ("NameTaken", BOARD)


async def test_a_former_name_is_its_owner_s_even_before_it_has_any_device() -> None:
    """As after a restart at which the rename was taken back: pods still have devices by it."""
    async with stage() as play:
        await play.agent.apply(Rules([TO_OTHER]), {})
        await play.listed(OTHER, allocatable=4)
        pod = Pod.of({OTHER: 1})
        await play.kubelet.admit(pod)
        [held] = play.kubelet.held(OTHER)
        await play.agent.apply(Rules(), {})
        await play.listed(BOARD, allocatable=3)
        await play.agent.publish(BackendHandle("other"), found("o1"))
        await served(play, other={"o1", held}, board=BOARDS)
