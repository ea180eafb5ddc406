"""What is told of a start and of a kubelet that is away: what is news, once."""

import logging

import pytest

from nodeplug.operations.cluster.node_news import facts_of
from nodeplug.supervisor.reload import ReloadReport
from nodeplug.testing import Pod
from support.stage import BOARD, SLICE, Stage, stage
from support.watched import watched

WARNING = logging.WARNING


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= WARNING]


def facts(play: Stage) -> list[str]:
    """Return what Events tell."""
    return [each for each in facts_of(play.agent.report(), ReloadReport((), 0)).values() if each]


async def test_devices_in_use_are_no_news_at_a_start(caplog: pytest.LogCaptureFixture) -> None:
    """Row K8."""
    async with stage() as play:
        await play.listed(SLICE, allocatable=8)
        await play.kubelet.admit(Pod.of({BOARD: 2, SLICE: 2}))
        await play.stop_agent(play.agents[0])
        await play.listed(allocatable=0)
        caplog.clear()
        play.start_agent()
        await play.listed(allocatable=4)
        await play.listed(SLICE, allocatable=8)
        assert warnings(caplog) == []


async def test_a_kubelet_that_is_away_is_one_line_and_one_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Row K10: however many resources there are, and its socket still lies there."""
    async with stage() as play, watched(play) as watch:
        await play.listed(SLICE, allocatable=8)
        caplog.clear()
        await play.kubelet.stop()
        await watch.until("/readyz", 503, "the kubelet does not answer")
        assert facts(play) == ["the kubelet does not answer"]
        assert warnings(caplog) == ["the kubelet does not answer"]
        await play.kubelet.start()
        await watch.until("/readyz", 200, "ok")
        assert facts(play) == []


async def test_what_a_stream_begins_with_is_no_late_news() -> None:
    """Row K4: a kubelet that comes back gets the list as it is, however old its news are."""
    async with stage() as play, watched(play) as watch:
        name = f"nodeplug_list_delay_seconds_count{{resource={BOARD}}}"
        before = (await watch.samples()).get(name, 0)
        await play.kubelet.restart()
        await play.listed(allocatable=4)
        assert (await watch.samples()).get(name, 0) == before
