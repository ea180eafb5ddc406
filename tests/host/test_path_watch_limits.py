"""Claims about watching directories where the kernel's limits, mounts and time come in."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nodeplug.host.uevents import Resync
from nodeplug.host.watch import Changed, PathWatch
from support.needs import require
from support.timed import on_this_machine, timed


@pytest.fixture
async def watch() -> AsyncIterator[PathWatch]:
    async with PathWatch() as watch:
        yield watch


async def following(watch: PathWatch) -> Changed | Resync:
    """Return the next change."""
    return await anext(aiter(watch))


async def test_an_unmounted_directory_is_a_resync(watch: PathWatch, tmp_path: Path) -> None:
    """A file system taken away leaves the directory below it, which is another one."""
    require(succeeds("mount", "-t", "tmpfs", "none", tmp_path), "mounting needs root")
    watch.add(tmp_path)
    assert succeeds("umount", tmp_path)
    assert await following(watch) == Resync()


def succeeds(*command: str | Path) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def overflow(directory: Path) -> None:
    """Change more in a watched directory than the kernel keeps for a reader."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    require(limit <= 100_000, "the kernel's queue is too long to fill")
    name = str(directory / "x")
    for _ in range(limit // 2 + 1):
        os.mknod(name)
        os.unlink(name)  # noqa: PTH108 - thousands of times


async def test_an_overflow_of_the_kernels_queue_is_a_resync(
    watch: PathWatch, tmp_path: Path
) -> None:
    """More changes than the kernel keeps: look at everything again, and go on watching."""
    watch.add(tmp_path, frozenset({"marker"}))
    overflow(tmp_path)
    assert await following(watch) == Resync()
    (tmp_path / "marker").touch()
    assert await following(watch) == Changed(tmp_path, "marker")


async def test_a_directory_made_unseen_in_an_overflow_is_watched(
    watch: PathWatch, tmp_path: Path
) -> None:
    """When the event that would have announced it was lost, the overflow finds it."""
    (tmp_path / "busy").mkdir()
    watch.add(tmp_path / "busy", frozenset())
    watch.add(tmp_path / "late")
    overflow(tmp_path / "busy")
    (tmp_path / "late").mkdir()
    assert await following(watch) == Resync()
    (tmp_path / "late/x").touch()
    assert await following(watch) == Changed(tmp_path / "late", "x")


LIMITED = """
import asyncio, sys
from pathlib import Path
from nodeplug.host.watch import PathWatch

def allow(watches):
    Path("/proc/sys/user/max_inotify_watches").write_text(str(watches))

async def at_add(watch, directory):
    allow(0)
    watch.add(directory)

async def at_iteration(watch, directory):
    watch.add(directory / "late")
    allow(len(watch._watches))
    (directory / "late").mkdir()
    async for change in watch:
        print(change)

async def main():
    async with PathWatch() as watch:
        try:
            await globals()[sys.argv[1]](watch, Path(sys.argv[2]))
        except OSError as error:
            print(error.strerror)

asyncio.run(main())
"""


@pytest.mark.parametrize("place", ["at_add", "at_iteration"])
def test_reaching_the_kernels_limit_is_an_error(tmp_path: Path, place: str) -> None:
    """Where no more watches are to be had, the caller learns it and can poll."""
    shell = ("unshare", "--user", "--map-root-user")
    require(shutil.which("unshare") is not None, "unshare is missing")
    require(succeeds(*shell, "true"), "this process may not make a user namespace")
    command = [*shell, sys.executable, "-c", LIMITED, place, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "No space left on device\n"


@timed
async def test_a_change_is_told_within_a_millisecond(watch: PathWatch, tmp_path: Path) -> None:
    """The median of fifty changes among noise of other names arrives in time."""
    watch.add(tmp_path, frozenset({"kubelet.sock"}))
    figures = []
    for number in range(50):
        for noise in range(5):
            (tmp_path / f"noise{number}-{noise}").touch()
        os.mknod(tmp_path / "kubelet.sock")
        started = time.perf_counter()
        await following(watch)
        figures.append(time.perf_counter() - started)
        (tmp_path / "kubelet.sock").unlink()
        await following(watch)
    assert sorted(figures)[25] < on_this_machine(0.001)
