"""Bitstream files of any format: what each is for."""

import hashlib
import os
import stat
from pathlib import Path
from typing import Final, Literal, NamedTuple

from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.programming.aocx import unpack_aocx
from nodeplug_intel_fpga.programming.gbs import is_gbs, parse_gbs
from nodeplug_intel_fpga.settings import ProgrammedSettings

# Those for the largest cards take about 150 MiB.
SIZE_LIMIT: Final = 256 << 20


class Bitstream(NamedTuple):
    """A bitstream: its format, the ids it is for, the image that the driver wants."""

    kind: Literal["GBS", "AOCX"]
    interface: str
    afu: str
    image: memoryview


def parse(data: bytearray, limit: int = SIZE_LIMIT) -> Bitstream:
    """Return the bitstream in a file's content; raise InvalidValueError for any other content.

    An image that is packed is unpacked to at most `limit` bytes.
    """
    view = memoryview(data)
    if is_gbs(view):
        return Bitstream("GBS", *parse_gbs(view))
    if not data.startswith(b"\x7fELF"):
        raise InvalidValueError("is neither a GBS nor an AOCX file")
    return Bitstream("AOCX", *parse_gbs(memoryview(unpack_aocx(view, limit))))


def read(file: Path) -> bytearray:
    """Return a file's content; raise InvalidValueError or OSError where it cannot be a bitstream.

    Blocks as the disk does. What is read is what was there once: later changes have no part in it.
    """
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidValueError("is no regular file")
        if not 0 < status.st_size <= SIZE_LIMIT:
            raise InvalidValueError(f"takes {status.st_size} bytes, must be 1 to {SIZE_LIMIT}")
        data = bytearray(status.st_size)
        del data[os.readv(fd, [data]) :]
        return data
    finally:
        os.close(fd)


def wanted(file: Path, entry: ProgrammedSettings) -> Bitstream:
    """Return the bitstream in a file; raise InvalidValueError if it is not that of a resource."""
    data = read(file)
    found = checksum(data)
    if found != entry.sha256:
        raise InvalidValueError(f"has the SHA-256 {found}")
    bitstream = parse(data)
    if bitstream.interface != entry.interface:
        raise InvalidValueError(f"is for the interface {bitstream.interface}")
    if bitstream.afu != entry.afu:
        raise InvalidValueError(f"holds the AFU {bitstream.afu}")
    return bitstream


def checksum(data: bytearray) -> str:
    """Return the SHA-256 of the data as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
