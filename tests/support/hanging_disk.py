"""A disk that can hang for other processes: a folder, mounted again through /dev/fuse."""

import errno
import os
import stat
import struct
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from support.fuse import ATTR, INTERRUPT, OPENED, ROOT, STARTED, Asked, Fuse, entry, listed

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_SECONDS = 60
_SETATTR = struct.Struct("<IIQQQQQQIIIIIIII")
_MODE, _SIZE = 1, 8  # FATTR_MODE, FATTR_SIZE


class HangingDisk:
    """Mounts `backing` at `directory` while the context lasts; nothing of it is cached.

    A process of its own serves it: who holds this one's interpreter may use the disk, too. Whoever
    waits for a disk that hangs can be killed, as with a network's disks.
    """

    def __init__(self, backing: Path, directory: Path) -> None:
        module = sys.executable, "-m", __spec__.name
        self._command = *module, str(os.getpid()), str(backing), str(directory)

    def hang(self) -> None:
        """Answer nothing to other processes from now on, for a minute at most.

        Whoever asks may keep the kernel's lock of a folder that this process needs to go on.
        """
        self._tell("hang")

    def go_on(self) -> None:
        """Answer what was asked meanwhile, and everything after."""
        self._tell("go on")

    @property
    def is_waited_for(self) -> bool:
        """Whether another process has asked for anything since it hangs."""
        return self._tell("asked") == "True"

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self._tell("mount")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        with self._process:  # closes what it reads from, which ends it
            pass

    def _tell(self, order: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise OSError(f"the disk's process has ended at {order!r}")
        return answer


class _Served:
    """The disk, in its process; `free` is the process that it always answers."""

    def __init__(self, free: int, backing: Path, directory: Path) -> None:
        self._free = free
        self._fuse = Fuse(directory)
        self._lock = threading.Lock()
        self._hangs = False
        self._asked = False
        self._end = threading.Timer(0, self.go_on)
        self._waiting: list[Asked] = []
        self._nodes = {ROOT: os.open(backing, os.O_PATH)}
        self._known: dict[tuple[int, int], int] = {}

    def follow(self) -> None:
        """Do what is ordered on standard input, to its end."""
        orders = {"mount": self.mount, "hang": self.hang, "go on": self.go_on}
        for line in sys.stdin:
            orders.get(line.strip(), lambda: None)()
            sys.stdout.write(f"{self._asked}\n")
            sys.stdout.flush()
        self.go_on()
        self._fuse.unmount()

    def mount(self) -> None:
        self._fuse.mount()
        threading.Thread(target=self._serve, daemon=True).start()

    def hang(self) -> None:
        with self._lock:
            self._hangs, self._asked = True, False
        self._end = threading.Timer(_LONGEST_SECONDS, self.go_on)
        self._end.daemon = True
        self._end.start()

    def go_on(self) -> None:
        self._end.cancel()
        with self._lock:
            self._hangs, waiting, self._waiting = False, self._waiting, []
            for each in waiting:
                self._answer(each)

    def _serve(self) -> None:
        for asked in self._fuse.requests():
            with self._lock:
                if asked.code == INTERRUPT:
                    self._interrupt(struct.unpack("<Q", asked.body)[0])
                elif self._hangs and _process_of(asked.thread) != self._free:
                    self._waiting.append(asked)
                    self._asked = True
                else:
                    self._answer(asked)

    def _interrupt(self, unique: int) -> None:
        for each in [each for each in self._waiting if each.unique == unique]:
            self._waiting.remove(each)
            self._fuse.reply(unique, errno.EINTR)

    def _answer(self, asked: Asked) -> None:
        try:
            answer: bytes | int = self._done(asked.code, asked.node, asked.body)
        except OSError as raised:
            answer = raised.errno or errno.EIO
        self._fuse.reply(asked.unique, answer)

    def _done(self, code: int, node: int, body: bytes) -> bytes:
        answers: dict[int, Callable[[int, bytes], bytes]] = {
            1: lambda node, body: self._found(node, _text(body)),
            3: lambda node, _: bytes(16) + self._attributes(node),
            4: self._set,
            8: self._make_node,
            9: self._make_folder,
            10: self._remove,
            11: self._remove_folder,
            12: self._rename,
            13: self._link,
            14: self._open,
            15: self._read,
            16: self._write,
            18: self._close,
            26: lambda *_: STARTED,
            27: lambda *_: bytes(16),
            28: lambda node, body: listed(sorted(os.listdir(self._path(node))), body),  # noqa: PTH208 - names alone
            29: lambda *_: b"",
        }
        if code not in answers:
            raise OSError(errno.ENOSYS, "no such call")
        return answers[code](node, body)

    def _path(self, node: int) -> str:
        return f"/proc/self/fd/{self._nodes[node]}"

    def _found(self, node: int, name: str) -> bytes:
        place = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=self._nodes[node])
        facts = os.fstat(place)
        number = self._known.setdefault((facts.st_dev, facts.st_ino), place + ROOT + 1)
        if number in self._nodes:
            os.close(place)
        else:
            self._nodes[number] = place
        return entry(number, self._attributes(number))

    def _attributes(self, node: int) -> bytes:
        facts = os.fstat(self._nodes[node])
        times = facts.st_atime_ns, facts.st_mtime_ns, facts.st_ctime_ns
        return ATTR.pack(
            *(facts.st_ino, facts.st_size, facts.st_blocks),
            *(each // 10**9 for each in times),
            *(each % 10**9 for each in times),
            *(facts.st_mode, facts.st_nlink, facts.st_uid, facts.st_gid, facts.st_rdev, 4096, 0),
        )

    def _set(self, node: int, body: bytes) -> bytes:
        valid, _, _, size, _, _, _, _, _, _, _, mode, *_ = _SETATTR.unpack_from(body)
        if valid & _MODE:
            Path(self._path(node)).chmod(stat.S_IMODE(mode))
        if valid & _SIZE:
            os.truncate(self._path(node), size)
        return bytes(16) + self._attributes(node)

    def _make_node(self, node: int, body: bytes) -> bytes:
        mode, device = struct.unpack_from("<II", body)
        os.mknod(name := _text(body[16:]), mode, device, dir_fd=self._nodes[node])
        return self._found(node, name)

    def _make_folder(self, node: int, body: bytes) -> bytes:
        mode, name = struct.unpack_from("<I", body)[0], _text(body[8:])
        os.mkdir(name, mode, dir_fd=self._nodes[node])
        return self._found(node, name)

    def _remove(self, node: int, body: bytes) -> bytes:
        os.unlink(_text(body), dir_fd=self._nodes[node])
        return b""

    def _remove_folder(self, node: int, body: bytes) -> bytes:
        os.rmdir(_text(body), dir_fd=self._nodes[node])
        return b""

    def _rename(self, node: int, body: bytes) -> bytes:
        [target] = struct.unpack_from("<Q", body)
        old, new, _ = body[8:].split(b"\0")
        os.rename(old, new, src_dir_fd=self._nodes[node], dst_dir_fd=self._nodes[target])
        return b""

    def _link(self, node: int, body: bytes) -> bytes:
        source, name = self._path(struct.unpack_from("<Q", body)[0]), _text(body[8:])
        os.link(source, name, dst_dir_fd=self._nodes[node], follow_symlinks=True)
        return self._found(node, name)

    def _open(self, node: int, body: bytes) -> bytes:
        flags = struct.unpack_from("<I", body)[0] & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
        return OPENED.pack(os.open(self._path(node), flags | os.O_CLOEXEC), 1, 0)

    def _read(self, _: int, body: bytes) -> bytes:
        descriptor, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(descriptor, size, offset)

    def _write(self, _: int, body: bytes) -> bytes:
        descriptor, offset, size = struct.unpack_from("<QQI", body)
        return struct.pack("<II", os.pwrite(descriptor, body[40 : 40 + size], offset), 0)

    def _close(self, _: int, body: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", body)[0])
        return b""


def _text(body: bytes) -> str:
    return os.fsdecode(body.partition(b"\0")[0])


def _process_of(thread: int) -> int:
    try:
        lines = Path(f"/proc/{thread}/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in lines if line.startswith("Tgid:"))


if __name__ == "__main__":
    _Served(int(sys.argv[1]), *map(Path, sys.argv[2:])).follow()
