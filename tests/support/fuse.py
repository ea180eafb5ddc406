"""A file system of ours, served to the kernel through /dev/fuse.

The layouts are those of the kernel's linux/fuse.h, protocol 7.31.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

INTERRUPT = 36
ROOT = 1
STARTED = struct.pack("<IIIIHHIIHHII24x", 7, 31, 0, 0, 9, 9, 4096, 1, 1, 0, 0, 0)
OPENED = struct.Struct("<QII")
ATTR = struct.Struct("<QQQQQQIIIIIIIIII")
_SILENT = {2, 42}  # forget and batch_forget: nobody waits for an answer
_FLAGS, _DETACH = 6, 3  # MS_NOSUID and MS_NODEV; MNT_FORCE and MNT_DETACH
_LIBC = ctypes.CDLL(None, use_errno=True)
_REQUEST = struct.Struct("<IIQQIIIHH")
_REPLY = struct.Struct("<IiQ")


class Asked(NamedTuple):
    """What the kernel asks, for one of its threads."""

    unique: int
    code: int
    node: int
    thread: int
    body: bytes


def can_serve_files() -> bool:
    """Return whether this process may mount a file system that it serves itself."""
    return os.geteuid() == 0 and Path("/dev/fuse").exists()


class Fuse:
    """A file system over a place, from `mount` to `unmount`; nothing of it is cached."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._device = -1

    def mount(self, root_mode: int = stat.S_IFDIR) -> None:
        """Lay it over the place; somebody must answer from now on."""
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self._device},rootmode={root_mode:o},user_id=0,group_id=0,allow_other"
        target = os.fsencode(self._place)
        if _LIBC.mount(b"ours", target, b"fuse", _FLAGS, options.encode()):
            raise OSError(ctypes.get_errno(), "mount", str(self._place))

    def unmount(self) -> None:
        """Take it away, whoever uses it."""
        _LIBC.umount2(os.fsencode(self._place), _DETACH)

    def close(self) -> None:
        """Close what it was served by."""
        os.close(self._device)

    def requests(self) -> Iterator[Asked]:
        """Yield all that wants an answer, until it is unmounted."""
        while True:
            try:
                request = os.read(self._device, 1 << 20)
            except OSError:
                return  # unmounted
            _, code, unique, node, _, _, thread, *_ = _REQUEST.unpack_from(request)
            if code not in _SILENT:
                yield Asked(unique, code, node, thread, request[_REQUEST.size :])

    def reply(self, unique: int, answer: bytes | int) -> None:
        """Answer a request; a number is that of an error."""
        error, body = (-answer, b"") if isinstance(answer, int) else (0, answer)
        try:
            os.write(self._device, _REPLY.pack(_REPLY.size + len(body), error, unique) + body)
        except OSError:
            return  # whoever asked has gone


def entry(node: int, attributes: bytes) -> bytes:
    """Return the answer to a look-up that has found a node."""
    return struct.pack("<QQQQII", node, 0, 0, 0, 0, 0) + attributes


def listed(names: Iterable[str], body: bytes) -> bytes:
    """Return the answer to a request for names."""
    _, offset, size = struct.unpack_from("<QQI", body)
    answer = b""
    for number, name in list(enumerate(map(os.fsencode, names), 1))[offset:]:
        each = struct.pack("<QQII", number + ROOT, number, len(name), 0) + name
        each = each.ljust((len(each) + 7) // 8 * 8, b"\0")
        if len(answer) + len(each) > size:
            break
        answer += each
    return answer
