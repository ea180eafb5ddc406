"""Labels of the node, in a file for Node Feature Discovery."""

import pytest

from nodeplug.offers import OfferRule
from support.awkward.state import State
from support.stage import BOARD, SLICE, Stage, stage

FILE = "/features.d/nodeplug-awkward"


async def labels(play: Stage) -> dict[str, str]:
    text = play.host.path(FILE).read_text()
    return dict(line.split("=") for line in text.splitlines())


async def test_labels_follow_devices_and_replicas() -> None:
    """What is no label for Kubernetes is left out."""
    async with stage(agents=0) as play:
        play.features = "/features.d"
        play.start_agent()
        await play.listed(allocatable=4)
        assert await labels(play) == {f"{BOARD}.count": "4", f"{SLICE}.count": "8"}
        play.rules = [OfferRule(resource=BOARD, replicas=3)]
        await play.reload()
        assert (await labels(play))[f"{BOARD}.count"] == "12"
        play.set(State(boards=3))
        await play.listed(allocatable=9)
        assert (await labels(play))[f"{BOARD}.count"] == "9"


async def test_no_file_is_written_unless_asked_for() -> None:
    """The directory is another's."""
    async with stage() as play:
        assert not play.host.path(FILE).exists()


async def test_a_directory_that_cannot_be_written_harms_no_device(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One clear line."""
    async with stage(agents=0) as play:
        play.host.path("/features.d").write_text("a file in its place")
        play.features = "/features.d"
        play.start_agent()
        await play.listed(allocatable=4)
        assert "host file not written" in caplog.text
