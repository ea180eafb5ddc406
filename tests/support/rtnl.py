"""The kernel's rtnl lock, held for as long as a context lasts, as by a driver that hangs."""

import ctypes
import fcntl
import mmap
import os
import platform
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.needs import require

_USERFAULTFD = {"x86_64": 323, "aarch64": 282}
# linux/userfaultfd.h
_API, _REGISTER, _MISSING = 0xC018AA3F, 0xC020AA00, 1
_SIOCETHTOOL, _GSTRINGS = 0x8946, 0x1B  # linux/sockios.h, linux/ethtool.h
# Nobody on the machine configures a link meanwhile.
_LONGEST_SECONDS = 10.0
_CLOEXEC = 0o2000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def held_rtnl() -> Iterator[None]:
    """Hold the lock, which all network namespaces share, entry to exit; so be quick.

    A call of ethtool reads its arguments while it holds the lock (net/ethtool/ioctl.c), and these
    lie on a page that is not given to the kernel before the exit: userfaultfd(2).
    """
    memory = mmap.mmap(-1, 2 * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    memory[:4] = b"page"
    struct.pack_into("I", memory, mmap.PAGESIZE - 4, _GSTRINGS)
    faults = _missing(address + mmap.PAGESIZE)
    holder = threading.Thread(target=_call, args=(address + mmap.PAGESIZE - 4,), daemon=True)
    release = _Once(faults)
    longest = threading.Timer(_LONGEST_SECONDS, release)
    longest.start()
    try:
        holder.start()
        _wait_until_held(holder)
        yield
    finally:
        longest.cancel()
        release()
        holder.join(5)


class _Once:
    """Gives the page to the kernel; what comes later does nothing."""

    def __init__(self, faults: int) -> None:
        self._faults = faults
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            if self._faults >= 0:
                os.close(self._faults)
            self._faults = -1


def _missing(address: int) -> int:
    number = _USERFAULTFD.get(platform.machine(), -1)
    descriptor = _LIBC.syscall(number, _CLOEXEC)
    require(descriptor >= 0, "userfaultfd for faults of the kernel needs root")
    fcntl.ioctl(descriptor, _API, bytearray(struct.pack("QQQ", 0xAA, 0, 0)))
    span = struct.pack("QQQQ", address, mmap.PAGESIZE, _MISSING, 0)
    fcntl.ioctl(descriptor, _REGISTER, bytearray(span))
    return int(descriptor)


def _call(address: int) -> None:
    request = struct.pack("16sQ16x", b"lo", address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        _LIBC.ioctl(asking.fileno(), _SIOCETHTOOL, request)


def _wait_until_held(holder: threading.Thread) -> None:
    # The thread sleeps where a fault is handled (fs/userfaultfd.c), once it has the lock.
    place = Path(f"/proc/self/task/{holder.native_id}/wchan")
    until = time.monotonic() + 5
    while place.read_text() != "handle_userfault" and time.monotonic() < until:
        time.sleep(0.001)
