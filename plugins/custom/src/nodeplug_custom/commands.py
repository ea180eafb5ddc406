"""Programs that are run by probes."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

# What has been killed is gone by then, unless the kernel holds it.
_REAP_SECONDS = 1.0
_REAP_PAUSE = 0.01


class Command:
    """A program, run once in a process group of its own, of which nothing stays."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._lock = threading.Lock()
        self._group = 0
        self._ended = False

    def run(self) -> int:
        """Run it to its end and return its exit code; OSError where it cannot be run. Blocks."""
        process = subprocess.Popen(
            self._words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with self._lock:
            self._group = process.pid
            if self._ended:
                _kill(self._group)
        code = process.wait()
        with self._lock:
            self._group = 0
            _kill(process.pid)  # what it has started
        _reap(process.pid)
        return code

    def end(self) -> None:
        """End it and all that it has started, if it still runs, or as soon as it does."""
        with self._lock:
            self._ended = True
            if self._group:
                _kill(self._group)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _reap(group: int) -> None:
    """Wait for members of a group that have become our children: process 1 inherits orphans."""
    until = time.monotonic() + _REAP_SECONDS
    with suppress(ChildProcessError):
        while time.monotonic() < until:
            if os.waitpid(-group, os.WNOHANG)[0] == 0:
                time.sleep(_REAP_PAUSE)
