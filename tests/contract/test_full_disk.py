"""What a full disk keeps back, and what it does not."""

import asyncio
import itertools
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.kubelet.sockets import HOME
from nodeplug.offers import OfferRule
from nodeplug.supervisor import offering
from nodeplug.supervisor.agent import Rules
from nodeplug.testing import Pod
from nodeplug.testing.patience import patience
from support.awkward.state import State
from support.mounts import can_mount_in_namespace
from support.needs import require
from support.small_disk import SmallDisks, small_disks
from support.stage import BOARD, Stage, stage


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    require(can_mount_in_namespace(), "a disk that can be full needs the right to mount")
    monkeypatch.setattr(offering, "_RETRY_SECONDS", 0.2)


async def test_a_new_device_that_finds_no_room_takes_no_other_along(kind: Kind) -> None:
    """With CDI: what the file describes already is given out as before."""
    async with stage(agents=0, kind=kind) as play:
        with small_disks(play.cdi_dir) as disks:
            play.rules = [OfferRule(resource=BOARD, inject="cdi")]
            play.start_agent()
            await play.listed(allocatable=4)
            with disks.full():
                play.set(State(boards=5, sick=("awk-board-0",)))
                await play.listed(allocatable=3)
                sick = {i for i, health in play.kubelet.devices(BOARD).items() if health[0] == "U"}
            await play.listed(allocatable=4)
    assert sick == {"awk-board-0", "awk-board-4"}


async def test_files_on_the_host_are_made_up_for_when_there_is_room(kind: Kind) -> None:
    """A device whose file cannot be noted is not given out until it is."""
    async with stage(agents=0, kind=kind) as play:
        with small_disks(play.directory / HOME / "host-files") as disks:
            play.start_agent()
            await play.listed(allocatable=4)
            with disks.full():
                play.set(State(boards=5))
                await play.kubelet.until(lambda: len(play.kubelet.devices(BOARD)) == 5)
                assert play.allocatable() == 4
            await play.listed(allocatable=5)
            assert play.host.path("/awkward/info-awk-board-4").read_text() == BOARD


async def test_labels_that_find_no_room_are_told_until_there_is(kind: Kind) -> None:
    """They are no device's, and those who go by them would take them for true."""
    async with stage(agents=0, kind=kind) as play:
        play.features = "/features.d"
        with small_disks(play.host.path(play.features)) as disks:
            play.start_agent()
            await play.listed(allocatable=4)
            with disks.full(of_files=True):
                play.set(State(boards=5))
                await play.listed(allocatable=5)
                [trouble] = play.agent.report().troubles
                assert "/features.d/nodeplug-awkward-" in trouble.detail
            async with patience(10):
                while play.agent.report().troubles:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.01)
    assert trouble.kind == "OffersKept"


@asynccontextmanager
async def crowded(kind: Kind) -> AsyncGenerator[tuple[Stage, Path, SmallDisks], None]:
    """Open a stage whose agent has its sockets on a small disk."""
    async with stage(agents=0, kind=kind) as play:
        home = play.directory.parent / "disk"
        (play.directory / HOME).symlink_to(home)
        await play.kubelet.stop()
        with small_disks(home) as disks:
            # A real kubelet has a mount namespace of its own: it sees what was mounted before.
            await play.kubelet.start()
            play.start_agent()
            await play.listed(allocatable=4)
            yield play, home, disks
            await play.stop_agent(play.agents[0])


@pytest.mark.parametrize("lost", ["the name that is bound", "the name that is registered"])
async def test_a_socket_that_cannot_be_put_back_is_registered_by_its_other_name(
    kind: Kind, lost: str
) -> None:
    """What serves goes on serving, too."""
    async with crowded(kind) as (play, home, disks):
        link = play.report().socket
        bound = link.with_name(f".{link.name.partition('-')[0]}.sock")
        with disks.full(of_files=True):
            (bound if lost == "the name that is bound" else link).unlink()
            (home / "in its room").touch()
            await play.kubelet.drop_streams(BOARD)
            await play.listed(allocatable=0)
            await play.listed(allocatable=4)
            (home / "in its room").unlink()
        assert play.report().socket == (link if lost == "the name that is bound" else bound)


@contextmanager
def others_take_what_is_free(folder: Path) -> Iterator[None]:
    """Let somebody else on the node fill every room that is made."""
    enough = threading.Event()

    def fill() -> None:
        for number in itertools.takewhile(lambda _: not enough.is_set(), itertools.count()):
            with suppress(OSError):
                (folder / f"other-{number}").touch()

    thread = threading.Thread(target=fill)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join()


async def test_new_options_need_no_room(kind: Kind) -> None:
    """R17: they are told to the kubelet on the socket that serves already."""
    async with crowded(kind) as (play, home, disks):
        with disks.full(of_files=True), others_take_what_is_free(home):
            rule = OfferRule(resource=BOARD, policy="packed")
            await play.agent.apply(Rules([rule]), {})
            await play.kubelet.drop_streams(BOARD)
            await play.kubelet.until(lambda: len(play.kubelet.journal.of("register", BOARD)) > 1)
            await play.listed(allocatable=4)
            await play.kubelet.admit(Pod.of({BOARD: 1}))
            assert play.kubelet.journal.of("preferred", BOARD)
