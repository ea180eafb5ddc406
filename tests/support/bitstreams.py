"""Bitstream files, well formed, to be spoilt."""

import gzip
import json
import struct

INTERFACE = "69528db6eb31577a8c3668f9faa081f6"
AFU = "d8424dc4a4a3c413f89e433683f9040b"
IMAGE = b"\xff" * 32 + b"an image for an FPGA" * 20

MAGIC = b"XeonFPGA\xb7GBSv001"


def metadata(interface: str = INTERFACE, *afus: str) -> bytes:
    clusters = [{"name": "nlb", "accelerator-type-uuid": dashed(afu)} for afu in afus or (AFU,)]
    image = {"interface-uuid": dashed(interface), "accelerator-clusters": clusters, "power": 0}
    return json.dumps({"version": 1, "afu-image": image, "platform-name": "DCP"}).encode()


def gbs(described: bytes = b"", image: bytes = IMAGE, *, length: int | None = None) -> bytes:
    described = described or metadata()
    size = len(described) if length is None else length
    return MAGIC + struct.pack("<I", size) + described + image


def aocx(packed: bytes | None = None, bits: int = 64) -> bytes:
    packed = gzip.compress(gbs(), mtime=0) if packed is None else packed
    inner = elf({".acl.gbs.gz": packed}, bits)
    return elf({".acl.board": b"pac_a10\0", ".acl.fpga.bin": inner}, bits)


def elf(sections: dict[str, bytes], bits: int = 64) -> bytes:
    """Return an ELF file with these sections, and one with their names at the end."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in (*sections, ".shstrtab"))
    contents = {"": b""} | sections | {".shstrtab": names}
    head = 64 if bits == 64 else 52
    body, headers = b"", b""
    for name, content in contents.items():
        at_name = names.index(name.encode() + b"\0")
        offset = head + len(body)
        form = "<IIQQQQIIQQ" if bits == 64 else "<IIIIIIIIII"
        headers += struct.pack(form, at_name, 1, 0, 0, offset, len(content), 0, 0, 1, 0)
        body += content
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    form = "<HHIQQQIHHHHHH" if bits == 64 else "<HHIIIIIHHHHHH"
    size = 64 if bits == 64 else 40
    count = len(contents)
    numbers = (1, 0, 1, 0, 0, head + len(body), 0, head, 0, 0, size, count, count - 1)
    return ident + struct.pack(form, *numbers) + body + headers


def dashed(digits: str) -> str:
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts)
