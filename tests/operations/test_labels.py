"""Labels of the node, in a file for Node Feature Discovery."""

import pytest

from nodeplug.offers import OfferRule
from support.awkward.state import State
from support.stage import BOARD, SLICE, Stage, stage

FOLDER = "/features.d"


async def labels(play: Stage) -> dict[str, str]:
    [file] = play.label_files()
    return dict(line.split("=") for line in file.read_text().splitlines())


async def test_labels_follow_devices_and_replicas() -> None:
    """What is no label for Kubernetes is left out."""
    async with stage(agents=0) as play:
        play.features = FOLDER
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
        assert not play.host.path(FOLDER).exists()


async def test_a_directory_that_cannot_be_written_harms_no_device(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One clear line."""
    async with stage(agents=0) as play:
        play.host.path(FOLDER).write_text("a file in its place")
        play.features = FOLDER
        play.start_agent()
        await play.listed(allocatable=4)
        assert "host file not written" in caplog.text


async def test_each_installation_has_a_file_of_its_own() -> None:
    """Two with the same backend on a node: neither takes the other's labels away."""
    async with stage(agents=0) as play:
        play.features = FOLDER
        play.start_agent()
        await play.listed(allocatable=4)
        [first] = play.label_files()
        before = first.read_bytes()
        play.installation = "two"
        play.rules = [OfferRule(resource=BOARD, rename="two.example.com/board")]
        play.start_agent()
        await play.kubelet.until(lambda: bool(play.kubelet.devices("two.example.com/board")))
        assert len(play.label_files()) == 2
        assert first.read_bytes() == before
