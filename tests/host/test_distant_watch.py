"""Watching directories on file systems that may hang."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from nodeplug.host.distant_watch import DistantWatch
from nodeplug.host.watch import Changed
from nodeplug.testing.patience import patience
from support.namespaces import with_own_limits
from support.needs import require
from support.slow_files import SlowFiles, can_serve_files
from support.timed import timed


class Play:
    """A watch, and what it says of itself."""

    def __init__(self) -> None:
        self.watched = asyncio.Event()
        self.watch = DistantWatch(self.watched.set)

    async def add(self, directory: Path) -> None:
        self.watched.clear()
        self.watch.add(directory)
        await self.watched.wait()


@pytest_asyncio.fixture(name="play")
async def _play() -> AsyncGenerator[Play, None]:
    play = Play()
    async with patience(10), play.watch:
        yield play
    await all_end()


async def all_end() -> None:
    async with patience(10):
        while "watch" in {thread.name for thread in threading.enumerate()}:  # noqa: ASYNC110 - a thread tells nobody
            await asyncio.sleep(0.01)


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> Iterator[SlowFiles]:
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    with SlowFiles(tmp_path, "deep/") as files:
        yield files
        files.go_on()


async def test_changes_are_told_once_a_directory_is_watched(play: Play, tmp_path: Path) -> None:
    """Each with its directory and name."""
    await play.add(tmp_path)
    (tmp_path / "a").touch()
    assert await anext(aiter(play.watch)) == Changed(tmp_path, "a")


async def test_what_is_watched_no_more_is_not_told(play: Play, tmp_path: Path) -> None:
    """Another directory still is."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        await play.add(tmp_path / name)
    play.watch.remove(tmp_path / "one")
    await play.add(tmp_path / "two")
    (tmp_path / "one/a").touch()
    (tmp_path / "two/b").touch()
    assert await anext(aiter(play.watch)) == Changed(tmp_path / "two", "b")


async def test_a_directory_that_hangs_is_watched_when_it_answers(
    play: Play, tmp_path: Path, files: SlowFiles
) -> None:
    """The event loop turns meanwhile."""
    files.hang()
    play.watch.add(tmp_path / "deep")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(play.watched.wait(), 0.2)
    files.go_on()
    await play.watched.wait()


@timed
async def test_its_end_waits_for_nothing_that_hangs(tmp_path: Path, files: SlowFiles) -> None:
    """The thread ends once it can."""
    files.hang()
    async with asyncio.timeout(1), DistantWatch(lambda: None) as watch:
        watch.add(tmp_path / "deep")
    files.go_on()
    await all_end()


async def test_a_watch_of_nothing_costs_no_thread(play: Play, tmp_path: Path) -> None:
    """Most devices are in /dev."""
    before = threading.active_count()
    play.watch.remove(tmp_path)
    assert threading.active_count() == before


LIMITED = """
import asyncio, sys, threading
from pathlib import Path
from nodeplug.host.distant_watch import DistantWatch

async def main(limit, directory):
    Path(f"/proc/sys/user/{limit}").write_text("0")
    watched = asyncio.Event()
    async with DistantWatch(watched.set) as watch:
        watch.add(directory)
        await watched.wait()
        await anext(aiter(watch))  # the first look
        (directory / "x").touch()
        print(await anext(aiter(watch)))
        watch.remove(directory)
    for each in threading.enumerate():
        if each.name == "watch":
            each.join()

asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


@pytest.mark.parametrize("limit", ["max_inotify_instances", "max_inotify_watches"])
def test_reaching_the_kernels_limit_is_a_warning(tmp_path: Path, limit: str) -> None:
    """Directories are polled."""
    command = [*with_own_limits(), sys.executable, "-c", LIMITED, limit, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "Resync()\n"
    assert "not watched" in done.stderr
    assert "Traceback" not in done.stderr
