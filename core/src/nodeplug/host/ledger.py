"""What the agents of a node have given to containers: a file of each agent, read by all."""

import asyncio
import logging
import os
import time
import zlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Final

import msgspec

from nodeplug.host.boot import boot_id
from nodeplug.host.files import stamp
from nodeplug.host.ledger_files import (
    SUFFIX,
    Header,
    Key,
    LedgerEntry,
    Lock,
    OtherFile,
    OwnFile,
    opened,
)
from nodeplug.values.errors import AllocationRefusedError

__all__ = ["Key", "Ledger", "LedgerBusyError", "LedgerEntry"]

_log = logging.getLogger("nodeplug.host")
_encode_lines = msgspec.json.Encoder().encode_lines

_WAIT_SECONDS: Final = 0.5
# What agents left that are no more is looked for so often.
_ADOPT_SECONDS: Final = 1.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02
_LOCK_NAME: Final = "lock"
_SMALL: Final = 1 << 16  # a file up to this size is not worth making smaller
# Kernels stamp a change with the time of their last tick, so one may follow with the same stamp.
_TICK_NS: Final = 20_000_000


class LedgerBusyError(AllocationRefusedError):
    """Another agent holds the ledger's lock for longer than an allocation may wait."""


class Ledger:
    """One agent's file, which it alone writes, and its view of those of all other agents.

    `owner` tells people who this agent is. Nothing here waits for a disk, and nothing that can go
    wrong with the folder keeps an agent from its work: `trouble` then says why entries are in
    memory only, and they are written as soon as that works again. It is for one event loop.
    """

    def __init__(self, folder: Path | None, owner: str, boot: str | None = None) -> None:
        self.trouble = "" if folder else "no folder for the ledger is set"
        self._folder = folder
        self._stem = f"{zlib.crc32(owner.encode()):08x}"
        self._header = Header(boot_id() if boot is None else boot, owner)
        self._lock = Lock(folder / _LOCK_NAME, owner) if folder else None
        self._in_turn = self._writable = False
        self._file: OwnFile | None = None
        self._own: dict[Key, LedgerEntry] = {}
        self._unwritten: dict[Key, LedgerEntry] = {}
        self._others: dict[str, OtherFile] = {}
        self._gone: list[str] = []
        self._seen: dict[Key, LedgerEntry] = {}
        self._stamp: tuple[int, int] | None = None
        self._adopting = 0.0

    @property
    def own(self) -> Mapping[Key, LedgerEntry]:
        """Return what lives of this agent's own file, and what it took over from others."""
        return self._own

    def open(self) -> list[LedgerEntry]:
        """Make the folder and return what lives in all files; never waits for the lock."""
        assert not self._in_turn, "it is opened before its first turn"
        self._try()
        self._in_turn = True
        try:
            return [entry for entry in self._refresh() if not entry.ended]
        finally:
            self._leave()

    def stirred(self) -> bool:
        """Whether a turn could have news; cheap enough to ask every second."""
        if self._folder is None:
            return False
        moved = stamp(self._folder) not in {None, self._stamp}
        return moved or any(file.grown() for file in self._others.values())

    def turn(self) -> AbstractAsyncContextManager[list[LedgerEntry]]:
        """Be the only agent of the node that looks and records, as short as possible.

        Yields what became known of other agents since the last turn: of each resource and device
        the newest entry, an ended one where its agent took it back and no other has given it.
        An entry whose file somebody removed is not taken back by that. Raises LedgerBusyError
        after half a second, naming who is in the way. Where the folder is of no use, the turn is
        this agent's alone.
        """
        return _Turn(self._begin_turn, self._leave)

    async def _begin_turn(self) -> list[LedgerEntry]:
        await self._enter()
        try:
            return self._refresh()
        except BaseException:
            self._leave()
            raise

    def append(self, entries: Iterable[LedgerEntry]) -> None:
        """Record entries, inside a turn only; what takes back nothing of our own is left out."""
        assert self._in_turn, "entries are recorded in a turn"
        for entry in entries:
            key = entry.key
            if not entry.ended:
                self._own[key] = entry
            elif self._own.pop(key, None) is None:
                continue
            self._unwritten[key] = entry
        self._write()

    def compact(self, living: Callable[[LedgerEntry], bool]) -> None:
        """Make the own file small again where it pays, inside a turn only.

        It is then that of our own entries those end that do not live. To be called now and then:
        of a file larger than 16 MiB others read the beginning only.
        """
        file = self._file
        if file is None or file.size <= _SMALL:
            return
        dead = [entry for entry in self._own.values() if not living(entry)]
        if file.lines <= 2 * (len(self._own) - len(dead)):
            return
        self.append(msgspec.structs.replace(entry, ended=True) for entry in dead)
        if self._writable and not self.trouble:
            with suppress(OSError):  # no room for two files: another time
                self._begin()

    def close(self) -> None:
        """Let go of all files. The own one stays: what it tells of goes on without this agent."""
        for name in list(self._others):
            self._forget(name)
        if self._file:
            self._file.close()
            self._file = None
        if self._lock:
            self._lock.close()

    async def _enter(self) -> None:
        deadline, pause = time.monotonic() + _WAIT_SECONDS, _FIRST_PAUSE
        while self._in_turn or not self._try():
            left = deadline - time.monotonic()
            if left <= 0:
                holder = self._lock.holder() if self._lock else "this agent"
                text = f"waited {_WAIT_SECONDS} s for the ledger in {self._folder}"
                raise LedgerBusyError(f"{text}, held by {holder}")
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._in_turn = True

    def _try(self) -> bool:
        """Take the lock if it is free; True, too, where there is none to take."""
        self._writable = False
        if self._lock is None:
            return True
        try:
            self._writable = self._lock.take()
        except OSError as error:
            self._complain(error)
            return True
        return self._writable

    def _leave(self) -> None:
        self._in_turn = False
        if self._writable and self._lock:
            self._writable = False
            self._lock.release()

    def _refresh(self) -> list[LedgerEntry]:
        news = self._read() if self._folder else []
        if self._writable:
            self._write()
            if time.monotonic() >= self._adopting:
                self._adopting = time.monotonic() + _ADOPT_SECONDS
                self._adopt()
        return news

    # Reading

    def _read(self) -> list[LedgerEntry]:
        """Return what is new in the files of others."""
        with suppress(OSError):  # one that is no regular folder is complained of where we write
            self._look_for_files()
        if not self._others:
            return []
        changed = dict.fromkeys(key for file in self._others.values() for key in file.read())
        news = [entry for key in changed if (entry := self._learn(key))]
        while self._gone:
            self._forget(self._gone.pop())
        return news

    def _look_for_files(self) -> None:
        """Open files that are new and note those that are gone, if the folder changed at all."""
        assert self._folder is not None
        now, facts = time.time_ns(), os.stat(self._folder)  # noqa: PTH116 - quicker
        stamp = facts.st_ino, facts.st_mtime_ns
        if stamp == self._stamp:
            return
        with os.scandir(self._folder) as listing:
            found = {e.name: e for e in listing if e.name.endswith(SUFFIX)}
        if self._file and found.pop(self._file.path.name, None) is None:
            self._lose()
        self._gone = [
            name
            for name, file in self._others.items()
            if name not in found or found[name].inode() != file.inode
        ]
        settled = facts.st_mtime_ns < now - _TICK_NS and not self._gone
        self._stamp = stamp if settled else None
        for name in found.keys() - self._others.keys():
            self._get_to_know(name, found[name])

    def _get_to_know(self, name: str, place: "os.DirEntry[str]") -> None:
        try:
            file = opened(place, self._header.boot)
        except OSError:
            self._stamp = None  # the next turn tries again
        else:
            if file:
                self._others[name] = file

    def _lose(self) -> None:
        """Get ready to write everything again: somebody removed the own file."""
        assert self._file is not None
        self._file.close()
        self._file = None
        self._unwritten = dict(self._own)

    def _learn(self, key: Key) -> LedgerEntry | None:
        """Return what is new of a key."""
        was, now = self._seen.get(key), self._settle(key)
        if now is None:
            return msgspec.structs.replace(was, ended=True) if was else None
        return now if now != was else None

    def _settle(self, key: Key) -> LedgerEntry | None:
        """Find out anew what others say of a key."""
        told = [file.living[key] for file in self._others.values() if key in file.living]
        if not told:
            self._seen.pop(key, None)
            return None
        self._seen[key] = newest = max(told, key=_answered)
        return newest

    def _forget(self, name: str) -> None:
        file = self._others.pop(name)
        file.close()
        for key in file.living:
            self._settle(key)

    # Writing; all of it under the lock

    def _write(self) -> None:
        """Write what is unwritten, or say why not."""
        if not self._writable:
            return
        try:
            if self._file is None and self._unwritten:
                self._begin()
            elif self._file and self._unwritten:
                lines = [*self._unwritten.values()]
                self._file.append(_encode_lines(lines), len(lines))
        except OSError as error:
            self._complain(error)
        else:
            self._unwritten.clear()
            self.trouble = ""

    def _begin(self) -> None:
        """Start a new file with all that lives. Between two, both tell the same."""
        assert self._folder is not None
        name = f"{self._stem}-{os.urandom(4).hex()}{SUFFIX}"
        file = OwnFile(self._folder / name)
        try:
            file.append(_encode_lines([self._header, *self._own.values()]), len(self._own))
        except OSError:
            file.remove()
            raise
        if self._file:
            self._file.remove()
        self._file = file

    def _adopt(self) -> None:
        """Take over what agents left that are no more. It is in our file before theirs goes."""
        assert self._folder is not None
        for name, file in list(self._others.items()):
            if self.trouble or not file.abandoned():
                continue
            living = [each for each in file.living.values() if self._is_older(each)]
            self.append(living)
            if not self.trouble:
                with suppress(OSError):
                    (self._folder / name).unlink(missing_ok=True)
                    self._forget(name)

    def _is_older(self, entry: LedgerEntry) -> bool:
        """Whether our own entry of the same is older, or there is none."""
        own = self._own.get(entry.key)
        return own is None or own.answered < entry.answered

    def _complain(self, error: OSError) -> None:
        text = f"{self._folder}: {error.strerror or error}"
        if text != self.trouble:
            _log.warning("ledger not written", extra={"nodeplug": {"error": text}})
        self.trouble = text


class _Turn(AbstractAsyncContextManager[list[LedgerEntry]]):
    """The block of one turn; a generator in its place takes as long as half of what is in it."""

    __slots__ = ("_begin", "_end")

    def __init__(
        self, begin: Callable[[], Awaitable[list[LedgerEntry]]], end: Callable[[], None]
    ) -> None:
        self._begin = begin
        self._end = end

    def __aenter__(self) -> Awaitable[list[LedgerEntry]]:  # type: ignore[override]
        return self._begin()

    async def __aexit__(self, *_: object) -> None:
        self._end()


def _answered(entry: LedgerEntry) -> float:
    return entry.answered
