"""A control group with a memory limit, as a container runtime makes it for a pod."""

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.needs import require

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


@contextmanager
def memory_group() -> Generator[MemoryGroup, None, None]:
    """Make a group, from entry to exit."""
    second = (_TOP / "cgroup.controllers").exists()
    folder = (_TOP if second else _TOP / "memory") / f"nodeplug-test-{os.getpid()}"
    try:
        folder.mkdir()
    except OSError as error:
        require(False, f"a memory cgroup cannot be made: {error.strerror}")
    try:
        limited = folder / ("memory.max" if second else "memory.limit_in_bytes")
        require(limited.exists(), "cgroups do not limit memory here")
        yield MemoryGroup(folder)
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
