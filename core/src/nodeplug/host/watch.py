"""Changes of names in directories, as the kernel tells them (inotify)."""

import asyncio
import errno
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from nodeplug.host.inbox import Inbox
from nodeplug.host.uevents import Resync

if TYPE_CHECKING:
    from asyncinotify import Event, Inotify, Watch

# inotify(7). asyncinotify is loaded by the first watch only, so its names cannot stand here.
_NAMED = 0x100 | 0x200 | 0x40 | 0x80  # CREATE, DELETE, MOVED_FROM, MOVED_TO
_ATTRIB = 0x4
_WRITTEN = 0x8  # CLOSE_WRITE
_SELF = 0x400 | 0x800 | 0x2000 | 0x8000  # DELETE_SELF, MOVE_SELF, UNMOUNT, IGNORED
_ASKED_SELF = 0x400 | 0x800  # the other two come unasked
_OVERFLOW = 0x4000
_ONLYDIR = 0x01000000
_MASK_ADD = 0x20000000

# What inotify_add_watch(2) says where its limits are reached; other errors tell of the path.
_EXHAUSTED = {errno.ENOSPC, errno.ENOMEM}

# At most so many events are read before other work on the loop gets its turn.
_BATCH = 256


class Changed(msgspec.Struct, frozen=True):
    """A name in a watched directory appeared, went, was moved, or its attributes changed.

    Where that was asked for, its content may have changed, too.
    """

    directory: Path
    name: str


class _Target(msgspec.Struct):
    """One directory asked for, and what is watched to know of it.

    `above` maps the watch descriptor of each directory above it to the name of the next step.
    Watching the steps tells of a directory that appears, of one that a renamed parent or a
    changed link leads away from, and of one removed while a process sits in it, of which its own
    watch says nothing.
    """

    directory: Path
    names: frozenset[str] | None
    written: bool
    here: int | None = None
    above: dict[int, str] = msgspec.field(default_factory=dict)

    def descriptors(self) -> set[int]:
        return {*self.above, *(() if self.here is None else (self.here,))}


class PathWatch:
    """Watches directories, existing or not yet, for changes of the names in them.

    `async with PathWatch() as watch`, then `add` directories and iterate. `Resync` means: look at
    every watched directory again. It comes after an overflow, and when a watched path starts or
    ceases to lead to a directory or leads to another one. Not seen: a file system mounted over a
    directory, and what the kernel itself does in /proc and /sys; a slow look now and then is
    still needed. OSError comes from entry, `add` or the iteration where inotify's limits are
    reached. For use on one event loop, by one iterating task.
    """

    def __init__(self) -> None:
        self._targets: dict[Path, _Target] = {}
        self._watches: dict[int, Watch] = {}
        self._inbox: Inbox[Changed] = Inbox()
        self._inotify: Inotify | None = None
        self._fd = -1

    async def __aenter__(self) -> Self:
        from asyncinotify import Inotify  # noqa: PLC0415 - see above

        self._inotify = Inotify(sync_timeout=0)
        self._fd = self._inotify.fd
        asyncio.get_running_loop().add_reader(self._fd, self._pump)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._close(None)

    def __aiter__(self) -> Inbox[Changed]:
        return self._inbox

    def add(
        self, directory: Path, names: frozenset[str] | None = None, *, written: bool = False
    ) -> None:
        """Watch a directory for some names, or all; from the return on, no change is missed.

        A directory that does not exist is watched for; `Resync` tells that it is there. Adding it
        again replaces the names. The path is absolute. With `written`, a file that was open for
        writing and has been closed counts as changed.
        """
        if not directory.is_absolute():
            raise ValueError(f"relative path to watch: {str(directory)!r}")
        target = self._targets.setdefault(directory, _Target(directory, names, written))
        target.names, target.written = names, written
        try:
            self._follow(target)
        except OSError:
            self.remove(directory)
            raise

    def remove(self, directory: Path) -> None:
        """Watch a directory no more; changes already seen may still be delivered."""
        target = self._targets.pop(directory, None)
        if target is not None:
            self._drop_unused(target.descriptors())

    def _close(self, error: Exception | None) -> None:
        inotify, self._inotify = self._inotify, None
        if inotify is not None:
            # Python closes it at its own end, before a thread that watches may be done.
            asyncio.get_running_loop().remove_reader(self._fd)
            inotify.close()
            self._inbox.close(error)

    def _follow(self, target: _Target) -> bool:
        """Watch the steps to a directory and it; return whether it has become another or none."""
        before, was = target.descriptors(), target.here
        target.above, target.here = {}, None
        # From the top, each step watched before the next is tried: nothing slips through.
        for place, step in _steps(target.directory):
            mask = _NAMED if step else _NAMED | _ATTRIB | (_WRITTEN if target.written else 0)
            try:
                watch = self._watch(place, mask)
            except PermissionError:
                continue  # the next may be open to us all the same
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    raise
                break
            if step:
                target.above[watch] = step
            else:
                target.here = watch
        self._drop_unused(before)
        return target.here != was

    def _watch(self, place: Path, mask: int) -> int:
        from asyncinotify import Mask  # noqa: PLC0415 - see above

        assert self._inotify is not None
        flags = mask | _ASKED_SELF | _ONLYDIR | _MASK_ADD
        watch = self._inotify.add_watch(place, Mask(flags))
        self._watches[watch.wd] = watch
        return watch.wd

    def _drop_unused(self, descriptors: set[int]) -> None:
        used = {each for target in self._targets.values() for each in target.descriptors()}
        for descriptor in descriptors - used:
            watch = self._watches.pop(descriptor)
            with suppress(OSError):  # the kernel drops the watch of a directory that is gone
                if self._inotify is not None:
                    self._inotify.rm_watch(watch)

    def _pump(self) -> None:
        for _ in range(_BATCH):
            event = self._inotify.sync_get() if self._inotify is not None else None
            if event is None:
                return
            try:
                self._handle(event)
            except OSError as error:
                self._close(error)
        # Some events may be in asyncinotify's memory, where no descriptor tells of them.
        asyncio.get_running_loop().call_soon(self._pump)

    def _handle(self, event: "Event") -> None:
        mask = int(event.mask)
        if mask & _OVERFLOW:
            for target in self._targets.values():
                self._follow(target)
            self._inbox.put(Resync())
            return
        watch, name = event.watch, str(event.name or "")
        for target in self._targets.values():
            if watch is not None:
                self._tell(target, watch.wd, mask, name)

    def _tell(self, target: _Target, descriptor: int, mask: int, name: str) -> None:
        concerned = descriptor == target.here or descriptor in target.above
        if concerned and (mask & _SELF or target.above.get(descriptor) == name):
            if self._follow(target):
                self._inbox.put(Resync())
        elif descriptor == target.here and name and _wants(target, mask, name):
            self._inbox.put(Changed(target.directory, name))


def shortage() -> str:
    """Return why this process could watch nothing now, or empty."""
    from asyncinotify import Inotify, Mask  # noqa: PLC0415 - see above

    try:
        with Inotify() as inotify:
            inotify.add_watch("/", Mask(_ATTRIB | _ONLYDIR))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _wants(target: _Target, mask: int, name: str) -> bool:
    if mask & _WRITTEN and not target.written:
        return False
    return target.names is None or name in target.names


def _steps(directory: Path) -> Iterator[tuple[Path, str]]:
    """Return the directories from the top down to the path, each with the name of the next."""
    places = [*reversed(directory.parents), directory]
    return zip(places, [*(each.name for each in places[1:]), ""], strict=True)
