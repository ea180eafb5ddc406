"""Who may be an installation's agent, whatever becomes of files and disks."""

import asyncio
import errno
import shutil
import tempfile
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodeplug.host import disk
from nodeplug.host.files import FileLock
from nodeplug.kubelet import lease
from nodeplug.kubelet.lease import Lease
from nodeplug.kubelet.sockets import HOME
from nodeplug.testing.patience import patience

# A connection that is accepted as its server closes is closed with its loop.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

DEAD, BEAT = 0.3, 0.1


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "DEAD_SECONDS", DEAD)
    monkeypatch.setattr(lease, "_BEAT_SECONDS", BEAT)
    monkeypatch.setattr(disk, "_SECONDS", DEAD)


@pytest.fixture
def folder() -> Iterator[Path]:
    """Paths of sockets are short."""
    made = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    yield made
    shutil.rmtree(made)


@asynccontextmanager
async def held(ours: Lease) -> AsyncGenerator[asyncio.Task[None], None]:
    await ours.acquire()
    holding = asyncio.create_task(ours.hold())
    try:
        yield holding
    finally:
        holding.cancel()
        await asyncio.wait({holding})


@asynccontextmanager
async def waiting(theirs: Lease) -> AsyncGenerator[asyncio.Task[None], None]:
    acquiring = asyncio.create_task(theirs.acquire())
    try:
        yield acquiring
    finally:
        acquiring.cancel()
        await asyncio.wait({acquiring})


async def until_followed(theirs: Lease) -> None:
    async with patience(5):
        while not theirs.holder:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def taken(acquiring: asyncio.Task[None]) -> bool:
    """Return whether it takes over, though nobody has ended."""
    return bool((await asyncio.wait({acquiring}, timeout=5 * DEAD))[0])


async def test_a_holder_whose_disk_hangs_is_not_taken_for_dead(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It turns, and says so."""
    answers, current = threading.Event(), FileLock.held_here_is_current
    answers.set()

    def slow(lock: FileLock) -> bool:
        answers.wait()
        return current(lock)

    monkeypatch.setattr(FileLock, "held_here_is_current", slow)
    theirs = Lease(folder, ["a"], "theirs")
    async with held(Lease(folder, ["a"], "ours")), waiting(theirs) as acquiring:
        await until_followed(theirs)
        answers.clear()
        try:
            assert not await taken(acquiring)
        finally:
            answers.set()


async def test_a_holder_whose_disk_is_full_is_not_taken_for_dead(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot say where it listens, and lives."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileLock, "write", full)
    theirs = Lease(folder, ["a"], "theirs")
    async with held(Lease(folder, ["a"], "ours")), waiting(theirs) as acquiring:
        assert not await taken(acquiring)


async def test_a_holder_says_where_it_listens_when_there_is_room(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then one can stand by."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    theirs = Lease(folder, ["a"], "theirs")
    with monkeypatch.context() as patches:
        patches.setattr(FileLock, "write", full)
        ours = Lease(folder, ["a"], "ours")
        await ours.acquire()
        holding = asyncio.create_task(ours.hold())
        await asyncio.sleep(2 * BEAT)
    async with waiting(theirs):
        await until_followed(theirs)
    holding.cancel()
    await asyncio.wait({holding})


async def test_what_is_removed_is_made_again(folder: Path) -> None:
    """A newcomer finds the holder, and nobody ends."""
    theirs = Lease(folder, ["a"], "theirs")
    async with held(Lease(folder, ["a"], "ours")) as holding:
        async with waiting(first := Lease(folder, ["a"], "first")):
            await until_followed(first)
        shutil.rmtree(folder / HOME)
        async with patience(5):
            while not [*(folder / HOME).glob("*/lease.sock")]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        async with waiting(theirs):
            await until_followed(theirs)
        assert not holding.done()


async def test_who_waits_for_one_name_keeps_no_other(folder: Path) -> None:
    """So two that want the same names never wait for each other."""
    theirs = Lease(folder, ["a", "b"], "theirs")
    async with held(Lease(folder, ["b"], "ours")), waiting(theirs):
        await until_followed(theirs)
        assert await Lease(folder, ["a"], "another").try_acquire()


async def test_those_that_did_not_get_it_keep_nobody_waiting(folder: Path) -> None:
    """One of several takes over; the others follow that one."""
    ours = Lease(folder, ["a"], "ours")
    theirs = [Lease(folder, ["a"], name) for name in ("first", "second")]
    async with held(ours):
        tasks = [asyncio.create_task(each.acquire()) for each in theirs]
        for each in theirs:
            await until_followed(each)
        handing = asyncio.create_task(ours.hand_over())
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        [next_one] = [each for each, task in zip(theirs, tasks, strict=True) if task in done]
        [other] = [each for each in theirs if each is not next_one]
        holding = asyncio.create_task(next_one.hold())
        next_one.taken()
        async with patience(lease.HANDOVER_SECONDS / 2):
            await handing
        await until_followed(other)
        for task in (*tasks, holding):
            task.cancel()
        await asyncio.wait({*tasks, holding})


async def test_a_late_look_does_not_take_back_what_was_handed_over(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is to take over gets all names."""
    ours, theirs = Lease(folder, ["a", "b"], "ours"), Lease(folder, ["a", "b"], "theirs")
    looked, current = threading.Event(), FileLock.held_here_is_current
    async with held(ours), waiting(theirs) as acquiring:
        await until_followed(theirs)

        def slow(lock: FileLock) -> bool:
            looked.set()
            return current(lock)

        monkeypatch.setattr(FileLock, "held_here_is_current", slow)
        async with patience(5):
            while not looked.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0)
        async with patience(5):
            handing = asyncio.create_task(ours.hand_over())
            await acquiring
            theirs.taken()
            await handing


async def test_the_end_of_a_holder_that_is_followed_is_quiet(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = Lease(folder, ["a"], "theirs")

    async def end() -> None:
        async with held(Lease(folder, ["a"], "ours")):
            following.append(asyncio.create_task(theirs.acquire()))
            await until_followed(theirs)

    following: list[asyncio.Task[None]] = []
    await asyncio.to_thread(asyncio.run, end())
    assert caplog.text == ""
