"""A control group with a memory limit, as a container runtime makes it for a pod."""

import os
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_TOP = Path("/sys/fs/cgroup")


class MemoryGroup:
    """Version 2, or 1 where memory is a hierarchy of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._is_second = (folder / "memory.max").exists()

    def limit(self, size: int) -> None:
        """Let the group have so many bytes, and none of them swapped out."""
        if self._is_second:
            self._write("memory.max", size)
            self._write("memory.swap.max", 0)
        else:
            self._write("memory.limit_in_bytes", size)
            self._write("memory.memsw.limit_in_bytes", size)

    def within(self) -> list[str]:
        """Return what to put before a command that is to run in the group with its children."""
        return ["sh", "-c", f'echo $$ > {self._folder}/cgroup.procs; exec "$0" "$@"']

    @property
    def kills(self) -> int:
        """How many processes of the group were killed for lack of memory."""
        file = "memory.events" if self._is_second else "memory.oom_control"
        return self._read(file).get("oom_kill", 0)

    @property
    def held(self) -> int:
        """How many bytes its processes hold that cannot be had back, now."""
        stat = self._read("memory.stat")
        return stat["anon"] if self._is_second else stat["total_rss"]

    @property
    def peak(self) -> int:
        """How many bytes were charged to it at most; cached files, which can be dropped, too."""
        file = "memory.peak" if self._is_second else "memory.max_usage_in_bytes"
        return int((self._folder / file).read_text())

    def _write(self, name: str, value: int) -> None:
        file = self._folder / name
        if file.exists():  # without swap there is nothing to limit
            file.write_text(str(value))

    def _read(self, name: str) -> dict[str, int]:
        lines = (self._folder / name).read_text().splitlines()
        return {key: int(value) for key, value in map(str.split, lines)}


class MeasuredGroup:
    """A command and its children where no group can be made: whoever asks what they hold, looks.

    What they had in between is not seen.
    """

    def __init__(self, folder: Path) -> None:
        self.peak = 0
        self._limit = 0
        self._noted = folder / "pid"

    def limit(self, size: int) -> None:
        """Note how many bytes they may have."""
        self._limit = size

    def within(self) -> list[str]:
        """Return what to put before the command."""
        return ["sh", "-c", f'echo $$ > {self._noted}; exec "$0" "$@"']

    @property
    def kills(self) -> int:
        """Whether one would have been killed: they have had more than the limit."""
        return int(self.peak > self._limit)

    @property
    def held(self) -> int:
        """How many bytes they have now: of pages that several share, each its part."""
        try:
            first = psutil.Process(int(self._noted.read_text()))
            held = sum(map(_held_by, (first, *first.children(recursive=True))))
        except (OSError, ValueError, psutil.Error):  # it has not begun, or has ended
            return 0
        self.peak = max(self.peak, held)
        return held


AnyGroup = MemoryGroup | MeasuredGroup


def _held_by(process: psutil.Process) -> int:
    with suppress(OSError):
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:")), 0)
    return 0


@contextmanager
def memory_group() -> Generator[AnyGroup, None, None]:
    """Make a group, from entry to exit; one that only measures where none can be made."""
    second = (_TOP / "cgroup.controllers").exists()
    folder = (_TOP if second else _TOP / "memory") / f"nodeplug-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError:
        with tempfile.TemporaryDirectory() as own:
            yield MeasuredGroup(Path(own))
        return
    try:
        limited = folder / ("memory.max" if second else "memory.limit_in_bytes")
        with tempfile.TemporaryDirectory() as own:
            yield MemoryGroup(folder) if limited.exists() else MeasuredGroup(Path(own))
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a group, and what still runs in it."""
    while left := (folder / "cgroup.procs").read_text().split():
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.01)
    folder.rmdir()
