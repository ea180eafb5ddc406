"""Faults in what the kernel and a driver show of one device."""

import ctypes
import os
import random
from pathlib import Path
from typing import Any, Final

# What the kernel never says, or not of this attribute.
_TEXTS: Final = (
    *(b"", b"\0", b"-1\n", b"70\n", b"0x\n", b"-\n", b"9" * 24, b"1e9\n", b"0x" + b"f" * 4090),
    *(b"9" * 5000, b"\xff\xfe\xfd\n", "\u00b2\n\u0663".encode(), b"a,b\n", b"../../../etc\n"),
    *(b"/\n", b"%s{0}{x}\n", b"A" * 300, b"\x1b[2J\rforged\nline\n", b"*\n"),
)
_TARGETS: Final = (".", "/", "../../..", "/nowhere", "x" * 300, "\udcff\n", "../\u00b2", "-1")
# Names of which readers take the end for a number, or the beginning for a kind.
_NAMES: Final = ("virtfn\u00b2", "virtfn" + "9" * 200, "virtio\udcff", "dfl-port.\u0663", "x,y\n")
_NUMBERS: Final = (0, 1, 2, 3, 0x7F, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 63), (1 << 64) - 1)
_CODES: Final = (1, 2, 3, 4, 6, 7, 9, 10, 13, 15, 16, 18, 25, 999, 12345)


def spoil_files(folder: Path, dice: random.Random) -> None:
    """Spoil one to five files and links at and below a folder, as root too cannot read them."""
    places = sorted(each for each in folder.rglob("*") if each.is_file() or each.is_symlink())
    for place in dice.sample(places, min(len(places), dice.randint(1, 5))):
        place.unlink()
        _replace(place, dice)


def _replace(place: Path, dice: random.Random) -> None:
    match dice.randrange(9):
        case 0:
            place.symlink_to(dice.choice((place.name, *_TARGETS)))
        case 1:
            place.mkdir()
        case 2:
            os.mkfifo(place)
        case 3:
            pass
        case 4:
            place.with_name(dice.choice(_NAMES)).mkdir(exist_ok=True)
        case _:
            noise = dice.randbytes(dice.choice((1, 8, 100)))
            place.write_bytes(dice.choice((*_TEXTS, noise)))


def spoil_answers(gpu: Any, dice: random.Random) -> None:
    """Spoil one to five of the answers that the stand-in for NVIDIA's library gives of a GPU."""
    for _ in range(dice.randint(1, 5)):
        match dice.randrange(4):
            case 0:
                gpu.error = dice.choice(_CODES)
            case 1:
                _spoil_field(gpu, dice)
            case 2:
                part = dice.choice(gpu.slices)
                part.present = 1
                _spoil_field(part, dice)
            case _:
                size = dice.randint(1, 64)
                at = dice.randrange(ctypes.sizeof(gpu) - size)
                ctypes.memmove(ctypes.addressof(gpu) + at, dice.randbytes(size), size)


def _spoil_field(of: Any, dice: random.Random) -> None:
    name = dice.choice([field[0] for field in of._fields_])
    match getattr(of, name):
        case bytes():
            setattr(of, name, dice.choice(_TEXTS)[:90])
        case int():
            setattr(of, name, dice.choice(_NUMBERS))
        case _:
            of.mig = 2
