"""GBS files: a header, metadata in JSON, and the image for the FPGA."""

import struct
from typing import Final, NamedTuple

import msgspec

from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.ids import good_id, why_bad

# Two magic words ("XeonFPGA", then version 1), and the length of the metadata.
_HEADER: Final = struct.Struct("<QQI")
_MAGIC: Final = (0x414750466E6F6558, 0x31303076534247B7)
_METADATA_LIMIT: Final = 4095


class Gbs(NamedTuple):
    """What a GBS file is for, and the image in it."""

    interface: str
    afu: str
    image: memoryview


class _Cluster(msgspec.Struct, rename="kebab"):
    accelerator_type_uuid: str


class _Image(msgspec.Struct, rename="kebab"):
    interface_uuid: str
    accelerator_clusters: list[_Cluster]


class _Metadata(msgspec.Struct, rename="kebab"):
    afu_image: _Image


def is_gbs(data: memoryview) -> bool:
    """Whether the data begin as a GBS file does."""
    return len(data) >= _HEADER.size and _HEADER.unpack_from(data)[:2] == _MAGIC


def parse_gbs(data: memoryview) -> Gbs:
    """Return what is in a GBS file; raise InvalidValueError for what is none."""
    if not is_gbs(data):
        raise InvalidValueError("does not begin as a GBS file does")
    length = _HEADER.unpack_from(data)[2]
    if not 1 <= length <= _METADATA_LIMIT:
        raise InvalidValueError(f"GBS metadata of {length} bytes, must be 1 to {_METADATA_LIMIT}")
    end = _HEADER.size + length
    if len(data) <= end:
        raise InvalidValueError("the GBS file is cut off")
    image = _metadata(data[_HEADER.size : end]).afu_image
    if len(image.accelerator_clusters) != 1:
        count = len(image.accelerator_clusters)
        raise InvalidValueError(f"GBS metadata of {count} accelerators, must be one")
    afu = image.accelerator_clusters[0].accelerator_type_uuid
    return Gbs(_id("interface", image.interface_uuid), _id("AFU", afu), data[end:])


def _metadata(data: memoryview) -> _Metadata:
    try:
        # Some tools fill the metadata up with zeros.
        return msgspec.json.decode(bytes(data).rstrip(b"\0"), type=_Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValueError(f"GBS metadata: {ascii(str(error))[1:-1]}") from error


def _id(name: str, text: str) -> str:
    digits = text.replace("-", "")
    if not good_id(digits):
        raise InvalidValueError(f"GBS metadata: {name} id {why_bad(digits)}")
    return good_id(digits)
