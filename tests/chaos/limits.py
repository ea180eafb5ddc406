"""The limits of the kernel for a running agent: descriptors, and what inotify gives."""

import resource
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

# A namespace of its own counts for itself what all processes of a user share.
_OWN = ("unshare", "--user", "--map-root-user")
_INOTIFY = "/proc/sys/user/max_inotify_"
# As many as the kernel takes for no limit.
_PLENTY = 1_000_000


@cache
def own_limits() -> Sequence[str]:
    """Return what to put before an agent to have limits of its own; nothing where none can be."""
    probe = subprocess.run([*_OWN, "nsenter", "--version"], check=False, capture_output=True)
    return _OWN if probe.returncode == 0 else ()


def without(kind: str) -> Sequence[str]:
    """Return what to put before an agent that starts without inotify's `instances` or `watches`."""
    return (*_OWN, "sh", "-c", f'echo 0 > {_INOTIFY}{kind}; exec "$0" "$@"')


def lift(pid: int) -> None:
    """Let a process whose limits are its own have what inotify gives, again."""
    _allow(pid, _PLENTY)


@contextmanager
def no_more_watches(pid: int) -> Iterator[None]:
    """Give a process whose limits are its own no more of inotify; what it has it keeps."""
    _allow(pid, 0)
    try:
        yield
    finally:
        lift(pid)


def _allow(pid: int, number: int) -> None:
    script = f"for kind in instances watches; do echo {number} > {_INOTIFY}$kind; done"
    command = ["nsenter", "--user", "--target", str(pid), "sh", "-ec", script]
    subprocess.run(command, check=True)


@contextmanager
def few_descriptors(pid: int, spare: int) -> Iterator[None]:
    """Let a process open so many files more, about; what it has open it keeps."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in Path(f"/proc/{pid}/fd").iterdir())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1 + spare, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
