"""Watching directories whether or not the kernel has watches left."""

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from nodeplug.host.fallbacks import fall_back, forget, recover
from nodeplug.host.files import stamp
from nodeplug.host.inbox import Inbox
from nodeplug.host.lane import Lane
from nodeplug.host.uevents import Resync
from nodeplug.host.watch import Changed, PathWatch

# A disk that takes longer is asked again later.
_DISK_SECONDS = 10.0


class _Wanted(msgspec.Struct, frozen=True):
    names: frozenset[str] | None
    written: bool


class SteadyWatch:
    """A `PathWatch` that polls, every `pause` seconds, what it is not given watches for.

    Nothing is raised where inotify's limits are reached, at the start or later. Then a `Resync`
    tells that something has changed; a change of a file's attributes alone goes unnoticed. As
    soon as there are watches again, they are used. `name` is what `fallbacks` calls it.
    """

    def __init__(self, name: str, pause: float = 2.0) -> None:
        self._name = f"watch of {name}"
        self._pause = pause
        self._inbox: Inbox[Changed] = Inbox()
        self._watch: PathWatch | None = None
        self._wanted: dict[Path, _Wanted] = {}
        self._polled: dict[Path, object] = {}
        self._polling = asyncio.Event()
        self._lane = Lane()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._start(self._poll())
        await self._open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._watch is not None:
            await self._watch.__aexit__(kind, error, at)
        self._inbox.close()
        forget(self._name)

    def __aiter__(self) -> Inbox[Changed]:
        return self._inbox

    def add(
        self, directory: Path, names: frozenset[str] | None = None, *, written: bool = False
    ) -> None:
        """Watch a directory, as `PathWatch.add` does."""
        if not directory.is_absolute():
            raise ValueError(f"relative path to watch: {str(directory)!r}")
        self._wanted[directory] = _Wanted(names, written)
        self._follow(directory)

    def remove(self, directory: Path) -> None:
        """Watch a directory no more; changes already seen may still be delivered."""
        if self._wanted.pop(directory, None) is not None:
            self._polled.pop(directory, None)
            if self._watch is not None:
                self._watch.remove(directory)
            self._settle()

    async def _open(self) -> None:
        watch = PathWatch()
        try:
            await watch.__aenter__()
        except OSError as error:
            self._fall_back(error)
            return
        self._watch = watch
        self._start(self._pass_on(watch))

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _follow(self, directory: Path) -> bool:
        """Watch a directory, or have it polled; return whether it is watched."""
        wanted = self._wanted[directory]
        if self._watch is not None:
            try:
                self._watch.add(directory, wanted.names, written=wanted.written)
            except OSError as error:
                self._fall_back(error)
            else:
                self._polled.pop(directory, None)
                return True
        # What it was like is not known: the first look tells to look.
        self._polled.setdefault(directory, None)
        return False

    async def _pass_on(self, watch: PathWatch) -> None:
        try:
            async for change in watch:
                self._inbox.put(change)
        except OSError as error:  # it has closed itself
            self._watch = None
            self._polled = dict.fromkeys(self._wanted)
            self._fall_back(error)

    def _fall_back(self, error: OSError) -> None:
        fall_back(self._name, "directory not watched", error.strerror or str(error))
        self._polling.set()

    async def _poll(self) -> None:
        while True:
            await self._polling.wait()
            await self._look()
            await asyncio.sleep(self._pause)
            await self._recover()

    async def _look(self) -> None:
        wanted = {directory: self._wanted[directory].names for directory in self._polled}
        try:
            found = await self._lane.call(_stamps, wanted, timeout=_DISK_SECONDS)
        except (RuntimeError, TimeoutError):  # too many threads, or a disk that hangs
            return
        news = {d: seen for d, seen in found.items() if self._polled.get(d, seen) != seen}
        self._polled.update(news)
        if news:
            self._inbox.put(Resync())

    async def _recover(self) -> None:
        if self._watch is None:
            await self._open()
        for directory in [*self._polled]:
            if not self._follow(directory):
                return
            self._inbox.put(Resync())
        self._settle()

    def _settle(self) -> None:
        if self._watch is not None and not self._polled:
            self._polling.clear()
            recover(self._name)


def _stamps(wanted: Mapping[Path, frozenset[str] | None]) -> Mapping[Path, object]:
    return {
        directory: stamp(directory)
        if names is None
        else [stamp(directory / name) for name in sorted(names)]
        for directory, names in wanted.items()
    }
