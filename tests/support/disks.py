"""A small disk of its own over a directory, which can be full."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_DETACH = 2  # MNT_DETACH
_BLOCK = 4096


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """Mount 2 MiB over a directory; raise OSError where that is not allowed."""
    target = os.fsencode(directory)
    if _LIBC.mount(b"small", target, b"tmpfs", 0, b"size=2m"):
        raise OSError(ctypes.get_errno(), "mount", str(directory))
    try:
        yield
    finally:
        _LIBC.umount2(target, _DETACH)


@contextmanager
def filled(directory: Path) -> Iterator[None]:
    """Take all the room that a directory's disk has."""
    filler = directory / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(_BLOCK))
        yield
    finally:
        filler.unlink()
