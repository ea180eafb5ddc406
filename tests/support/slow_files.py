"""A file system that can hang: a directory of empty files or nodes, served on a thread."""

import errno
import stat
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from support.fuse import (
    ATTR,
    INTERRUPT,
    OPENED,
    ROOT,
    STARTED,
    Fuse,
    can_serve_files,
    entry,
    listed,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SlowFile", "SlowFiles", "can_serve_files"]

_LOOKUP, _GETATTR, _INIT, _OPENDIR, _READDIR = 1, 3, 26, 27, 28
_OPEN, _READ, _RELEASE = 14, 15, 18
_UNCACHED = 1  # FOPEN_DIRECT_IO


class SlowFiles:
    """Mounted over a directory while the context lasts; `hang` and `go_on` at any time.

    A name that ends in "/" is a directory, with the same content as that above it.
    """

    _root_mode = stat.S_IFDIR

    def __init__(self, directory: Path, *names: str, mode: int = stat.S_IFREG | 0o644) -> None:
        self._fuse = Fuse(directory)
        self._names = names
        self._bare = [name.rstrip("/") for name in names]
        self._mode = mode
        self._going = threading.Event()
        self._going.set()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def hang(self) -> None:
        """Answer nothing from now on."""
        self._going.clear()

    def go_on(self) -> None:
        """Answer what was asked meanwhile, and everything after."""
        self._going.set()

    def __enter__(self) -> Self:
        self._fuse.mount(self._root_mode)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.go_on()
        self._fuse.unmount()
        self._thread.join(5)
        self._fuse.close()

    def _serve(self) -> None:
        for asked in self._fuse.requests():
            if asked.code != INTERRUPT:
                self._going.wait()
                self._fuse.reply(asked.unique, self._answer(asked.code, asked.node, asked.body))

    def _answer(self, code: int, node: int, body: bytes) -> bytes | int:
        answers: dict[int, Callable[[], bytes | int]] = {
            _INIT: lambda: STARTED,
            _GETATTR: lambda: bytes(16) + self._attributes(node),
            _LOOKUP: lambda: self._find(body.rstrip(b"\0").decode()),
            _OPENDIR: lambda: bytes(16),
            _READDIR: lambda: listed(self._bare, body),
        }
        return answers.get(code, lambda: errno.ENOSYS)()

    def _find(self, name: str) -> bytes | int:
        if name not in self._bare:
            return errno.ENOENT
        node = self._bare.index(name) + ROOT + 1
        return entry(node, self._attributes(node))

    def _attributes(self, node: int) -> bytes:
        is_directory = node == ROOT or self._names[node - ROOT - 1].endswith("/")
        kind = stat.S_IFDIR | 0o755 if is_directory else self._mode
        return ATTR.pack(node, 0, 0, 0, 0, 0, 0, 0, 0, kind, 1, 0, 0, 0, 512, 0)


class SlowFile(SlowFiles):
    """A single file, mounted over one that is there. `asked` counts who wanted to read it.

    Reading fails with the error number `error`, unless it is 0.
    """

    _root_mode = stat.S_IFREG

    def __init__(self, file: Path, content: str) -> None:
        super().__init__(file)
        self.asked = 0
        self.error = 0
        self._content = content.encode()

    def _answer(self, code: int, node: int, body: bytes) -> bytes | int:
        if code == _OPEN:
            self.asked += 1
            return OPENED.pack(0, _UNCACHED, 0)
        if code == _READ:
            start, size = struct.unpack_from("<8xQI", body)
            return self.error or self._content[start : start + size]
        return b"" if code == _RELEASE else super()._answer(code, node, body)

    def _attributes(self, node: int) -> bytes:
        mode = stat.S_IFREG | 0o644
        return ATTR.pack(node, len(self._content), 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)
