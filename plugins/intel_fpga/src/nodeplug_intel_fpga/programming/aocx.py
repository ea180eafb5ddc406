"""AOCX files, made by Intel's OpenCL tools: a GBS file, packed, in an ELF file in an ELF file."""

import zlib
from typing import Final

from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.programming.elf import section

_BINARY: Final = ".acl.fpga.bin"
_PACKED: Final = ".acl.gbs.gz"
# zlib: a window of 32 KiB, and a gzip header.
_GZIP: Final = 31


def unpack_aocx(data: memoryview, limit: int) -> bytearray:
    """Return the GBS file in an AOCX file; raise InvalidValueError where there is none.

    At most `limit` bytes are unpacked.
    """
    packed = section(section(data, _BINARY), _PACKED)
    unpacker = zlib.decompressobj(_GZIP)
    try:
        unpacked = unpacker.decompress(packed, limit)
    except zlib.error as error:
        raise InvalidValueError(f"section {_PACKED} cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise InvalidValueError(f"section {_PACKED} is cut off, or unpacks to over {limit} bytes")
    return bytearray(unpacked)
