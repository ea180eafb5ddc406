"""The limits of the kernel for a running agent: descriptors, threads, and what inotify gives."""

import os
import resource
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
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


_PIDS = Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")


@cache
def can_limit_threads() -> bool:
    """Whether control groups that count threads can be made here."""
    try:
        with _group():
            return True
    except OSError:
        return False


@contextmanager
def few_threads(pid: int, spare: int) -> Iterator[None]:
    """Let a process start so many threads and processes more; those that it has go on."""
    with _group() as folder:
        (folder / "cgroup.procs").write_text(str(pid))
        limit = len(os.listdir(f"/proc/{pid}/task")) + spare  # noqa: PTH208 - they are counted
        (folder / "pids.max").write_text(str(limit))
        try:
            yield
        finally:
            (folder / "pids.max").write_text("max")
            while own := (folder / "cgroup.procs").read_text().split():
                for each in own:
                    with suppress(ProcessLookupError):
                        (folder.parent / "cgroup.procs").write_text(each)


@contextmanager
def _group() -> Iterator[Path]:
    top = next(each for each in _PIDS if each.is_dir())
    folder = top / f"nodeplug-chaos-{os.getpid()}"
    folder.mkdir()
    try:
        if not (folder / "pids.max").exists():
            raise FileNotFoundError(folder / "pids.max")
        yield folder
    finally:
        folder.rmdir()
