"""Sections of an ELF file, little-endian, of 32 or 64 bits. Only what AOCX files need."""

import struct
from typing import Final, NamedTuple

from nodeplug.values.errors import InvalidValueError

_MAGIC: Final = b"\x7fELF"
_LITTLE_ENDIAN: Final = 1
# Far more than the tools make; a file cannot make us read for long.
_SECTIONS_LIMIT: Final = 1024
_NAMES_LIMIT: Final = 65536


class _Class(NamedTuple):
    """Where the file header and a section header have what (System V ABI, chapter 4).

    `file` reads the offset of the section headers, their size, their number, and the number of the
    one with the names; `section` reads name, offset and size.
    """

    file: struct.Struct
    section: struct.Struct


_CLASSES: Final = {
    1: _Class(struct.Struct("<32xI10xHHH"), struct.Struct("<I12xII16x")),
    2: _Class(struct.Struct("<40xQ10xHHH"), struct.Struct("<I20xQQ24x")),
}


def section(data: memoryview, name: str) -> memoryview:
    """Return a section's content; raise InvalidValueError where there is none."""
    found = _sections(data).get(name)
    if found is None:
        raise InvalidValueError(f"the ELF file has no section {name}")
    return found


def _sections(data: memoryview) -> dict[str, memoryview]:
    layout = _layout(data)
    at, size, count, names_at = layout.file.unpack(_cut(data, 0, layout.file.size))
    if size < layout.section.size or not names_at < count <= _SECTIONS_LIMIT:
        raise InvalidValueError("the ELF file has no usable section headers")
    headers = [
        layout.section.unpack(_cut(data, at + number * size, layout.section.size))
        for number in range(count)
    ]
    _, offset, length = headers[names_at]
    names = bytes(_cut(data, offset, min(length, _NAMES_LIMIT)))
    return {
        _name(names, at_name): data[offset : offset + length]
        for at_name, offset, length in headers
        if offset + length <= len(data)
    }


def _layout(data: memoryview) -> _Class:
    ident = bytes(data[:6])
    if not ident.startswith(_MAGIC):
        raise InvalidValueError("is no ELF file")
    kind, order = (*ident[4:6], 0, 0)[:2]
    if kind not in _CLASSES or order != _LITTLE_ENDIAN:
        raise InvalidValueError("is no little-endian ELF file of 32 or 64 bits")
    return _CLASSES[kind]


def _cut(data: memoryview, offset: int, length: int) -> memoryview:
    if offset + length > len(data):
        raise InvalidValueError("the ELF file is cut off")
    return data[offset : offset + length]


def _name(names: bytes, at: int) -> str:
    end = names.find(b"\0", at)
    return names[at:end].decode(errors="replace") if at < end else ""
