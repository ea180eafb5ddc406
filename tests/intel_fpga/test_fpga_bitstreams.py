"""Bitstream files: what is in them, and that no file does harm."""

import gzip
import os
import struct
from pathlib import Path

import pytest

from fuzz.bitstreams import run
from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.programming.bitstream import SIZE_LIMIT, checksum, parse, read
from support.bitstreams import AFU, IMAGE, INTERFACE, MAGIC, aocx, elf, gbs, metadata


def refusal(data: bytes, limit: int = SIZE_LIMIT) -> str:
    with pytest.raises(InvalidValueError) as refused:
        parse(bytearray(data), limit)
    return str(refused.value)


@pytest.mark.parametrize(
    "data", [gbs(), gbs(metadata() + b"\0\0\0"), gbs(metadata(INTERFACE.upper()))]
)
def test_a_gbs_file_tells_what_it_is_for(data: bytes) -> None:
    """Its metadata may be filled up with zeros, its ids in upper case."""
    found = parse(bytearray(data))
    assert (found.kind, found.interface, found.afu) == ("GBS", INTERFACE, AFU)
    assert bytes(found.image) == IMAGE


@pytest.mark.parametrize("bits", [32, 64])
def test_an_aocx_file_tells_the_same(bits: int) -> None:
    """Its image is that of the GBS file packed in it."""
    found = parse(bytearray(aocx(bits=bits)))
    assert (found.kind, found.interface, found.afu) == ("AOCX", INTERFACE, AFU)
    assert bytes(found.image) == IMAGE


@pytest.mark.parametrize("packed", [False, True])
def test_an_image_can_be_handed_to_the_driver_as_it_lies(*, packed: bool) -> None:
    """In memory whose address can be had: a hundred megabytes are not copied for that."""
    found = parse(bytearray(aocx() if packed else gbs()))
    assert not found.image.readonly


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "is neither a GBS nor an AOCX file"),
        (b"XeonFPGA\xb7GBSv002" + gbs()[16:], "is neither a GBS nor an AOCX file"),
        (gbs()[:19], "is neither a GBS nor an AOCX file"),
        (gbs(length=0), "GBS metadata of 0 bytes, must be 1 to 4095"),
        (gbs(length=4096), "GBS metadata of 4096 bytes, must be 1 to 4095"),
        (gbs(length=0xFFFFFFFF), "GBS metadata of 4294967295 bytes, must be 1 to 4095"),
        (MAGIC + struct.pack("<I", 4095) + metadata(), "the GBS file is cut off"),
        (gbs(image=b""), "the GBS file is cut off"),
        (gbs(b"{}"), "GBS metadata: Object missing required field `afu-image`"),
        (gbs(b"\xff\xfe"), "GBS metadata: JSON is malformed: invalid character (byte 0)"),
        (gbs(b"[" * 4000), "GBS metadata: Expected `object`, got `array`"),
        (gbs(b'{"a":' * 600 + b"1" + b"}" * 600), "GBS metadata: "),
        (gbs(metadata(INTERFACE, AFU, AFU)), "GBS metadata of 2 accelerators, must be one"),
        (gbs(metadata("f" * 32)), "GBS metadata: interface id reads all ones"),
        (gbs(metadata(INTERFACE, "12 4")), "GBS metadata: AFU id reads '12 4', which is no id"),
        (b"\x7fELF", "is no little-endian ELF file of 32 or 64 bits"),
        (b"\x7fELF\x03\x01" + bytes(99), "is no little-endian ELF file of 32 or 64 bits"),
        (b"\x7fELF\x02\x02" + bytes(99), "is no little-endian ELF file of 32 or 64 bits"),
        (aocx()[:40], "the ELF file is cut off"),
        (aocx()[:-1], "the ELF file is cut off"),
        (elf({".text": b"x"}), "the ELF file has no section .acl.fpga.bin"),
        (elf({".acl.fpga.bin": b"x"}), "is no ELF file"),
        (elf({".acl.fpga.bin": elf({})}), "the ELF file has no section .acl.gbs.gz"),
        (aocx(b""), "section .acl.gbs.gz is cut off, or unpacks to over 268435456 bytes"),
        (aocx(b"PK"), "section .acl.gbs.gz cannot be unpacked: "),
        (aocx(gzip.compress(gbs())[:-9]), "section .acl.gbs.gz is cut off, or unpacks"),
        (aocx(gzip.compress(b"x")), "does not begin as a GBS file does"),
    ],
)
def test_any_other_file_is_refused_in_one_line(data: bytes, text: str) -> None:
    """Cut off, too long, of another kind, or contradicting itself."""
    said = refusal(data)
    assert said.startswith(text)
    assert said.isprintable()


@pytest.mark.parametrize(("at", "value"), [(40, 1 << 63), (58, 0), (60, 0), (60, 65535), (62, 99)])
def test_an_elf_header_that_lies_leads_nowhere(at: int, value: int) -> None:
    """Offset, size, number of the sections, and which has their names."""
    data = bytearray(aocx())
    struct.pack_into("<Q" if at == 40 else "<H", data, at, value)
    assert refusal(bytes(data)).startswith("the ELF file")


def test_a_bomb_is_unpacked_to_the_limit_and_no_further() -> None:
    """A kilobyte can unpack to a megabyte; memory is limited."""
    bomb = aocx(gzip.compress(bytes(1 << 20)))
    assert refusal(bomb, 1 << 16).endswith("unpacks to over 65536 bytes")


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """And its checksum is the one that other tools print."""
    file = tmp_path / "a.gbs"
    file.write_bytes(b"abc")
    digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert checksum(read(file)) == digits


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    """Only its size is looked at."""
    file = tmp_path / "a.gbs"
    file.touch()
    os.truncate(file, SIZE_LIMIT + 1)
    with pytest.raises(InvalidValueError, match="takes 268435457 bytes, must be 1 to 268435456"):
        read(file)


def test_what_is_no_regular_file_is_not_read(tmp_path: Path) -> None:
    """A pipe would let us wait for ever."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidValueError, match="is no regular file"):
        read(tmp_path / "pipe")


def test_two_thousand_spoilt_files_do_no_harm() -> None:
    """Each is refused in words, or still holds good ids; `make fuzz` does many more."""
    assert sum(run(2000, seed=7).values()) == 2000


def test_spoilt_files_reach_every_check() -> None:
    """Or the number of them would say little."""
    assert len(run(2000, seed=7)) >= 12
