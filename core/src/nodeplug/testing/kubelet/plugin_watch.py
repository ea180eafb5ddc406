"""The kubelet's watch of its plugin registry: which sockets are there, and since when."""

import asyncio
import itertools
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from asyncinotify import Event, Inotify, Mask


class PluginWatch:
    """The sockets below a directory, by path, each with a number that is new whenever it appears.

    Of what inotify tells only appearance and removal count; what is renamed away stays (R72).
    """

    def __init__(self, directory: Path) -> None:
        self.sockets: dict[Path, int] = {}
        self._directory = directory
        self._numbers = itertools.count(1)
        self._inotify: Inotify | None = None

    def start(self) -> None:
        """Make the directory and watch; sockets that are in it already are found (R72)."""
        self._directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.sockets.clear()
        self._inotify = Inotify(sync_timeout=0)
        self._walk(self._directory)
        asyncio.get_running_loop().add_reader(self._inotify.fd, self._read)

    def stop(self) -> None:
        """Watch no more."""
        inotify, self._inotify = self._inotify, None
        if inotify is not None:
            asyncio.get_running_loop().remove_reader(inotify.fd)
            inotify.close()

    def _walk(self, directory: Path) -> None:
        assert self._inotify is not None
        with suppress(OSError):  # gone again
            mask = Mask.CREATE | Mask.MOVED_TO | Mask.DELETE | Mask.ONLYDIR
            self._inotify.add_watch(directory, mask)
            for entry in sorted(directory.iterdir()):
                self._found(entry)

    def _found(self, path: Path) -> None:
        try:
            mode = path.lstat().st_mode
        except OSError:
            return
        if stat.S_ISDIR(mode):
            self._walk(path)
        elif stat.S_ISSOCK(mode) and not path.name.startswith("."):
            self.sockets[path] = next(self._numbers)

    def _read(self) -> None:
        for event in self._events():
            path = event.path
            if path is None or not event.name:
                continue
            if event.mask & Mask.DELETE:
                self.sockets.pop(path, None)
            elif not path.name.startswith("."):
                self._found(path)

    def _events(self) -> Iterator[Event]:
        while self._inotify is not None and (event := self._inotify.sync_get()) is not None:
            yield event
