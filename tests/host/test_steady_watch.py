"""Claims about watching directories while the kernel's limits are reached."""

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nodeplug.host import calls, lane
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.host.uevents import Resync
from nodeplug.host.watch import PathWatch
from support.namespaces import with_own_limits

SCRIPT = """
import asyncio, sys
from pathlib import Path
from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.host.uevents import Resync

def allow(**limits):
    for name, value in limits.items():
        Path(f"/proc/sys/user/max_inotify_{name}").write_text(str(value))

async def told(watch, what):
    change = await anext(aiter(watch))
    print("look" if isinstance(change, Resync) else change.name, end=f" {what}, ")

async def no_instance(folder):
    allow(instances=0)
    async with SteadyWatch("x", pause=0.01) as watch:
        watch.add(folder, frozenset({"a"}))
        (folder / "a").touch()
        await told(watch, "at a")
        (folder / "a").unlink()
        await told(watch, "without a")
        (folder / "other").touch()
        watch.add(folder)
        await told(watch, "at all")
        (folder / "another").touch()
        await told(watch, "at more")
        print(fallbacks())

async def no_watch(folder):
    allow(watches=0)
    async with SteadyWatch("x", pause=0.01) as watch:
        watch.add(folder)
        await told(watch, "at first")
        (folder / "a").touch()
        await told(watch, "at a")
        print(fallbacks())

async def run_out(folder):
    async with SteadyWatch("x", pause=0.01) as watch:
        watch.add(folder / "late")
        allow(watches=0)
        (folder / "late").mkdir()
        await told(watch, "at the end of watches")
        (folder / "late/a").touch()
        while not fallbacks():
            await asyncio.sleep(0)
        await told(watch, "at a")
        print(fallbacks())

async def recovered(folder):
    allow(instances=0)
    async with SteadyWatch("x", pause=0.01) as watch:
        watch.add(folder)
        await told(watch, "at first")
        allow(instances=9)
        await told(watch, "anew")
        while fallbacks():
            await asyncio.sleep(0)
        (folder / "a").touch()
        await told(watch, "at a")
        print(fallbacks())

async def removed(folder):
    allow(instances=0)
    async with SteadyWatch("x", pause=0.01) as watch:
        watch.add(folder)
        await told(watch, "at first")
        watch.remove(folder)
        (folder / "a").touch()
        allow(instances=9)
        while fallbacks():
            await asyncio.sleep(0)
        print(fallbacks())

asyncio.run(globals()[sys.argv[1]](Path(sys.argv[2])))
"""
WITHOUT_INSTANCES = "{'watch of x': 'directory not watched: Too many open files'}"
WITHOUT_WATCHES = "{'watch of x': 'directory not watched: No space left on device'}"


@pytest.mark.parametrize(
    ("case", "seen"),
    [
        (
            "no_instance",
            f"look at a, look without a, look at all, look at more, {WITHOUT_INSTANCES}",
        ),
        ("no_watch", f"look at first, look at a, {WITHOUT_WATCHES}"),
        ("run_out", f"look at the end of watches, look at a, {WITHOUT_WATCHES}"),
        ("recovered", "look at first, look anew, a at a, {}"),
        ("removed", "look at first, {}"),
    ],
)
def test_changes_are_told_without_the_kernel(tmp_path: Path, case: str, seen: str) -> None:
    """By looks, until there are watches again; nothing ends, and a fallback is no secret."""
    command = [*with_own_limits(), sys.executable, "-c", SCRIPT, case, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{seen}\n"
    assert done.stderr.count("directory not watched") == 1


async def test_a_look_for_which_there_is_no_thread_is_made_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever polls goes on polling."""
    looks = 0

    def begun(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("can't start new thread")
        return calls.begun(*args)

    async def no_instance(_: PathWatch) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(lane, "begun", begun)
    monkeypatch.setattr(PathWatch, "__aenter__", no_instance)
    async with SteadyWatch("x", pause=0.01) as watch:
        watch.add(tmp_path)
        assert isinstance(await anext(aiter(watch)), Resync)
