"""The files of a ledger: the lock, the one that an agent writes, those that it reads."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import structs

from nodeplug.values.hardware import Uses

Key = tuple[str, str]
"""A resource's public name and the public id of a device in it."""

SUFFIX: Final = ".jsonl"

FORGET_FOLDER: Final = "forget"
"""Where requests to forget lie, in the ledger's folder."""

_EXCLUSIVE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB
_NOTE_LIMIT: Final = 512
_LINE_LIMIT: Final = 1 << 16
_FILE_LIMIT: Final = 1 << 24
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class LedgerEntry(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A device that an agent gave to a container; one line of JSON in the agent's file.

    `resource` and `device` are what the kubelet calls them; `answered` is the monotonic time of
    the answer, which all processes of a boot count alike. `hardware` tells what the container
    uses. While an answer is `under_way` its time is that of the question. `pods` are the uids of
    those that have it, once that is known: a kubelet forgets those that are deleted by force.
    `owner` is the agent that gave it, "" for the one whose file it is.
    `ended` takes back what was said before of the same resource and device.
    """

    resource: str
    device: str
    answered: float
    hardware: Uses
    owner: str = ""
    under_way: bool = False
    pods: tuple[str, ...] = ()
    ended: bool = False

    @property
    def key(self) -> Key:
        """Return what this is said of."""
        return self.resource, self.device


class Header(msgspec.Struct, frozen=True):
    """The first line of a file: of which boot and, for people, of which agent it tells."""

    boot: str
    owner: str = ""


_decode_entry = msgspec.json.Decoder(LedgerEntry).decode
_decode_header = msgspec.json.Decoder(Header).decode


class Lock:
    """The node's one lock; its file tells who holds it, and stays."""

    def __init__(self, path: Path, owner: str) -> None:
        self._path = path
        self._note = " ".join(owner.split()).encode()[:_NOTE_LIMIT] + b"\n"
        self._fd = -1

    def take(self) -> bool:
        """Take the lock if it is free. Raises OSError where there can be none."""
        if self._fd < 0:
            self._open()
        try:
            fcntl.flock(self._fd, _EXCLUSIVE)
        except BlockingIOError:
            taken = False
        else:
            taken = True
        if not self._is_current():
            self.close()  # the next attempt is on the file that is there by then
            return False
        if taken:
            self._sign()
        return taken

    def release(self) -> None:
        """Give the lock up."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def holder(self) -> str:
        """Return what the holder says of itself."""
        note = b""
        with suppress(OSError):
            note = os.pread(self._fd, _NOTE_LIMIT, 0)
        return note.partition(b"\n")[0].decode(errors="replace") or "another agent"

    def close(self) -> None:
        """Let go of the file, and of the lock with it."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        if not _is_ours(self._fd):
            self.close()
            raise OSError(errno.EINVAL, "its lock is not a regular file of our own")

    def _is_current(self) -> bool:
        # Whoever removes the file or puts another in its place takes its only name away.
        return os.fstat(self._fd).st_nlink > 0

    def _sign(self) -> None:
        try:
            if os.pread(self._fd, len(self._note), 0) != self._note:
                os.pwrite(self._fd, self._note, 0)
        except OSError:  # people are told no name
            pass


class OwnFile:
    """A new file that is locked as long as its process lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = self.lines = 0
        self._torn = False
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._fd, _EXCLUSIVE)
        except OSError:
            self.remove()
            raise

    def append(self, data: bytes, lines: int) -> None:
        """Write whole lines; where less was written, OSError is raised and all may come again."""
        data = b"\n" + data if self._torn else data
        written = os.write(self._fd, data)
        self.size += written
        self.lines += lines
        self._torn = written < len(data)
        if self._torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def remove(self) -> None:
        """Remove and close the file."""
        with suppress(OSError):
            self.path.unlink()
        self.close()

    def close(self) -> None:
        """Let go of the file: from now on it is abandoned."""
        os.close(self._fd)


def _is_ours(fd: int) -> bool:
    facts = os.fstat(fd)
    return stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()


def opened(place: "os.DirEntry[str]", boot: str) -> "OtherFile | None":
    """Open another agent's file; None if it is none. Raises OSError where that fails."""
    if not place.is_file(follow_symlinks=False):
        return None
    fd = os.open(place.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if _is_ours(fd):
        return OtherFile(fd, place.inode(), boot)
    os.close(fd)
    return None


class OtherFile:
    """Another agent's file, read as it grows. `living` is what it says by now."""

    def __init__(self, fd: int, inode: int, boot: str) -> None:
        self.inode = inode
        self.living: dict[Key, LedgerEntry] = {}
        self._fd = fd
        self._boot = boot
        self._owner = ""
        self._current: bool | None = None
        self._size = self._offset = 0

    def read(self) -> Iterable[Key]:
        """Take in what was appended and return of what it tells."""
        size = self._end()
        if size == self._size:
            return ()
        if size < self._size:  # agents only append: somebody else cut it off
            self._current, self._offset = None, 0
            self.living.clear()
        self._size = size
        lines = (line for chunk in iter(self._chunk, b"") for line in chunk.split(b"\n") if line)
        return [key for line in lines if (key := self._take(line))]

    def grown(self) -> bool:
        """Whether there is something to read."""
        return self._end() != self._size

    def _end(self) -> int:
        return min(os.lseek(self._fd, 0, os.SEEK_END), _FILE_LIMIT)  # far quicker than fstat

    def _chunk(self) -> bytes:
        """Return the next whole lines; one that is too long comes in pieces, which say nothing."""
        left = min(_LINE_LIMIT, self._size - self._offset)
        try:
            chunk = os.pread(self._fd, left, self._offset)
        except OSError:
            return b""
        end = chunk.rfind(b"\n") + 1
        if not end and len(chunk) == _LINE_LIMIT:
            end = len(chunk)
        self._offset += end
        return chunk[:end]

    def _take(self, line: bytes) -> Key | None:
        """Take in a line; the first tells whether the others are of this boot."""
        try:
            if self._current is None:
                self._current = False
                header = _decode_header(line)
                self._owner, self._current = header.owner, header.boot == self._boot
            elif self._current:
                return self._note(_decode_entry(line))
        except _UNREADABLE:
            pass
        return None

    def _note(self, entry: LedgerEntry) -> Key:
        key = entry.key
        if entry.ended:
            self.living.pop(key, None)
        else:
            self.living[key] = entry if entry.owner else structs.replace(entry, owner=self._owner)
        return key

    def abandoned(self) -> bool:
        """Whether nobody holds the file any more. Only who has the node's lock may ask."""
        try:
            fcntl.flock(self._fd, _EXCLUSIVE)
        except OSError:
            return False
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)
