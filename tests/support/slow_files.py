"""A file system that can hang: a directory of empty files or nodes, served on a thread.

It speaks to /dev/fuse; the layouts are those of the kernel's linux/fuse.h, protocol 7.31.
"""

import ctypes
import os
import stat
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOKUP, _FORGET, _GETATTR, _INIT, _OPENDIR, _READDIR = 1, 2, 3, 26, 27, 28
_OPEN, _READ, _RELEASE = 14, 15, 18
_UNCACHED = 1  # FOPEN_DIRECT_IO
_SILENT = {_FORGET, 36, 42}  # forget, interrupt, batch_forget: nobody waits for an answer
_ROOT = 1
_NOT_THERE, _UNKNOWN = -2, -38  # ENOENT, ENOSYS
_FLAGS, _DETACH = 6, 3  # MS_NOSUID and MS_NODEV; MNT_FORCE and MNT_DETACH
_LIBC = ctypes.CDLL(None, use_errno=True)
_REQUEST = struct.Struct("<IIQQIIIHH")
_REPLY = struct.Struct("<IiQ")
_ATTR = struct.Struct("<QQQQQQIIIIIIIIII")


def can_serve_files() -> bool:
    """Return whether this process may mount a file system that it serves itself."""
    return os.geteuid() == 0 and Path("/dev/fuse").exists()


class SlowFiles:
    """Mounted over a directory while the context lasts; `hang` and `go_on` at any time.

    A name that ends in "/" is a directory, with the same content as that above it.
    """

    _root_mode = stat.S_IFDIR

    def __init__(self, directory: Path, *names: str, mode: int = stat.S_IFREG | 0o644) -> None:
        self._directory = directory
        self._target = os.fsencode(directory)
        self._names = names
        self._bare = [name.rstrip("/") for name in names]
        self._mode = mode
        self._going = threading.Event()
        self._going.set()
        self._device = -1
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def hang(self) -> None:
        """Answer nothing from now on."""
        self._going.clear()

    def go_on(self) -> None:
        """Answer what was asked meanwhile, and everything after."""
        self._going.set()

    def __enter__(self) -> Self:
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode={self._root_mode:o},user_id=0,group_id=0,allow_other"
        if _LIBC.mount(b"slow", self._target, b"fuse", _FLAGS, options.encode()):
            raise OSError(ctypes.get_errno(), "mount", str(self._directory))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.go_on()
        _LIBC.umount2(self._target, _DETACH)
        self._thread.join(5)
        os.close(self._device)

    def _serve(self) -> None:
        while True:
            try:
                request = os.read(self._device, 1 << 20)
            except OSError:
                return  # unmounted
            _, code, unique, node, *_ = _REQUEST.unpack_from(request)
            if code in _SILENT:
                continue
            self._going.wait()
            answer = self._answer(code, node, request[_REQUEST.size :])
            error, body = (answer, b"") if isinstance(answer, int) else (0, answer)
            try:
                os.write(self._device, _REPLY.pack(_REPLY.size + len(body), error, unique) + body)
            except OSError:
                continue  # whoever asked has gone

    def _answer(self, code: int, node: int, body: bytes) -> bytes | int:
        answers: dict[int, Callable[[], bytes | int]] = {
            _INIT: lambda: struct.pack("<IIIIHHIIHHII24x", 7, 31, 0, 0, 1, 1, 4096, 1, 1, 0, 0, 0),
            _GETATTR: lambda: struct.pack("<QII", 0, 0, 0) + self._attributes(node),
            _LOOKUP: lambda: self._find(body.rstrip(b"\0").decode()),
            _OPENDIR: lambda: struct.pack("<QII", 0, 0, 0),
            _READDIR: lambda: self._list(struct.unpack_from("<QQ", body)[1]),
        }
        return answers.get(code, lambda: _UNKNOWN)()

    def _find(self, name: str) -> bytes | int:
        if name not in self._bare:
            return _NOT_THERE
        node = self._bare.index(name) + _ROOT + 1
        return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + self._attributes(node)

    def _list(self, offset: int) -> bytes:
        entries = b""
        for number, name in list(enumerate(self._bare, 1))[offset:]:
            entry = struct.pack("<QQII", number + _ROOT, number, len(name), 8) + name.encode()
            entries += entry.ljust((len(entry) + 7) // 8 * 8, b"\0")
        return entries

    def _attributes(self, node: int) -> bytes:
        is_directory = node == _ROOT or self._names[node - _ROOT - 1].endswith("/")
        kind = stat.S_IFDIR | 0o755 if is_directory else self._mode
        return _ATTR.pack(node, 0, 0, 0, 0, 0, 0, 0, 0, kind, 1, 0, 0, 0, 512, 0)


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
            return struct.pack("<QII", 0, _UNCACHED, 0)
        if code == _READ:
            start, size = struct.unpack_from("<8xQI", body)
            return -self.error or self._content[start : start + size]
        return b"" if code == _RELEASE else super()._answer(code, node, body)

    def _attributes(self, node: int) -> bytes:
        mode = stat.S_IFREG | 0o644
        return _ATTR.pack(node, len(self._content), 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 512, 0)
