"""Requests to end holds that can no longer be proved free: files that every agent reads.

They lie beside the ledger, whose rules hold for them, too: what is not ours, broken or of another
boot is as if it were not there.
"""

import os
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from nodeplug.host.boot import boot_id
from nodeplug.host.files import remove_quietly, write_atomically
from nodeplug.host.ledger_files import FORGET_FOLDER

LIFE_SECONDS: Final = 60.0
"""For so long a request is good: agents that start meanwhile take it up, too."""

_REQUEST, _ANSWERS = ".json", ".taken"
_FILES_LIMIT: Final = 1000
_SIZE_LIMIT: Final = 1 << 16

_Kind = TypeVar("_Kind")


class Request(msgspec.Struct, frozen=True):
    """Who wants which hold ended, and why.

    `asked` is the monotonic time, which all processes of a boot count alike: what was given to a
    container later is not meant. `at` is the time for people.
    """

    resource: str
    device: str
    reason: str
    who: str
    asked: float
    at: str
    boot: str

    @classmethod
    def of(cls, resource: str, device: str, reason: str, who: str) -> "Request":
        """Return a request that is made now."""
        at = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        return cls(resource, device, reason, who, time.monotonic(), at, boot_id())


class Taken(msgspec.Struct, frozen=True):
    """What an agent made of a request: whether it has no such hold any more, and why not."""

    agent: str
    ended: bool
    why: str = ""
    asked: float = 0


def ask(ledger: Path, request: Request) -> None:
    """Leave a request for all agents that share a ledger's folder; raise OSError if that fails."""
    folder = ledger / FORGET_FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    _sweep(folder)
    remove_quietly(folder / (_stem(request) + _ANSWERS))
    write_atomically(folder / (_stem(request) + _REQUEST), msgspec.json.encode(request))


def requests(ledger: Path) -> list[Request]:
    """Return the requests that are good now, the same each time: note which you have seen. Blocks.

    A hold that was answered after `asked` is not to be ended by it.
    """
    found = (_read(path, Request) for path in _files(ledger / FORGET_FOLDER, _REQUEST))
    return [each for lines in found for each in lines[:1] if _is_good(each)]


def done(ledger: Path, request: Request, taken: Taken) -> None:
    """Tell whoever asked what an agent made of a request; that may be nobody any more. Blocks."""
    line = msgspec.json.encode(msgspec.structs.replace(taken, asked=request.asked)) + b"\n"
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with suppress(OSError):
        fd = os.open(ledger / FORGET_FOLDER / (_stem(request) + _ANSWERS), flags, 0o600)
        try:
            os.write(fd, line)
        finally:
            os.close(fd)


def answers(ledger: Path, request: Request) -> list[Taken]:
    """Return what agents have made of a request so far, each agent's last word."""
    lines = _read(ledger / FORGET_FOLDER / (_stem(request) + _ANSWERS), Taken)
    found = {each.agent: each for each in lines if each.asked == request.asked}
    return list(found.values())


def _stem(request: Request) -> str:
    # What is asked for comes from outside, and is no file name.
    key = f"{request.resource}\0{request.device}".encode(errors="replace")
    return f"{zlib.crc32(key):08x}"


def _is_good(request: Request) -> bool:
    age = time.monotonic() - request.asked
    return request.boot == boot_id() and 0 <= age <= LIFE_SECONDS


def _sweep(folder: Path) -> None:
    """Remove what is over; what agents say of a request goes with it."""
    for path in _files(folder, _REQUEST):
        if not any(map(_is_good, _read(path, Request)[:1])):
            remove_quietly(path.with_suffix(_ANSWERS))
            remove_quietly(path)


def _files(folder: Path, suffix: str) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - names alone
    except OSError:
        return
    yield from [folder / name for name in names if name.endswith(suffix)][:_FILES_LIMIT]


def _read(path: Path, kind: type[_Kind]) -> list[_Kind]:
    """Return the lines of a file of ours that say something."""
    found = []
    for line in _content(path).split(b"\n"):
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.append(msgspec.json.decode(line, type=kind))
    return found


def _content(path: Path) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        facts = os.fstat(fd)
        ours = stat.S_ISREG(facts.st_mode) and facts.st_uid == os.geteuid()
        return os.read(fd, _SIZE_LIMIT) if ours else b""
    except OSError:
        return b""
    finally:
        os.close(fd)
