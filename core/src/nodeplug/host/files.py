"""Files that other processes read, and locks that other processes see."""

import fcntl
import logging
import os
from pathlib import Path

_log = logging.getLogger("nodeplug.host")

# A note says who serves; it is cut at this many bytes when read.
_NOTE_LIMIT = 4096


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Make `data` the content of the file, so that a reader sees the old or the new, never half.

    The data is on disk before it is visible. On failure (no space, no right) OSError is raised,
    the old file stands and nothing is left beside it. Blocks as long as the disk does.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - takes over the descriptor
            os.fchmod(fd, mode)
            file.write(data)
            file.flush()
            os.fsync(fd)
        temporary.replace(path)
    except BaseException:
        remove_quietly(temporary)
        raise


def make_folders(path: Path) -> None:
    """Make a folder, and those above it that are missing, for all to read, whatever the umask."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)


def remove_quietly(path: Path) -> None:
    """Remove a file if it is there; a failure is logged and nothing more."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        facts = {"path": str(path), "error": str(error)}
        _log.warning("file not removed", extra={"nodeplug": facts})


class FileLock:
    """A lock on a file, by flock(2): held by one open file on this host, gone with its process.

    It works between containers that share the directory, and never looks at process ids. The
    file itself stays when the lock goes. Its content may name the holder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def try_acquire(self) -> bool:
        """Take the lock if it is free, without waiting; True also if it is held here already.

        Raises OSError where the file cannot be opened or its file system has no locks.
        """
        while self._fd < 0:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            fd = os.open(self.path, flags, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BaseException as error:
                os.close(fd)
                if isinstance(error, BlockingIOError):
                    return False
                raise
            self._fd = fd
            if not self.held_here_is_current():  # replaced between opening and locking
                self.release()
        return True

    def held_here_is_current(self) -> bool:
        """Return whether the lock is held here and its file still is the one at the path.

        False after somebody removed or replaced the file: another can hold "the" lock then.
        """
        try:
            return self._fd >= 0 and os.path.samestat(os.fstat(self._fd), self.path.lstat())
        except OSError:
            return False

    def release(self) -> None:
        """Give the lock up; nothing happens where it is not held."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def write(self, text: str) -> None:
        """Make a short text the file's content; the lock must be held."""
        data = text.encode()
        os.pwrite(self._fd, data, 0)
        os.ftruncate(self._fd, len(data))

    def read(self) -> str:
        """Return the content that the holder wrote, "" where there is none."""
        try:
            with self.path.open("rb") as file:
                return file.read(_NOTE_LIMIT).decode(errors="replace")
        except OSError:
            return ""


def stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file or folder is changed or replaced; None where it is not."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return facts.st_ino, facts.st_mtime_ns
