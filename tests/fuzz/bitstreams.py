"""Spoilt bitstreams against the parser: `PYTHONPATH=tests python -m fuzz.bitstreams 100000`."""

import gzip
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator

from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.ids import good_id
from nodeplug_intel_fpga.programming.bitstream import Bitstream, parse
from support.bitstreams import aocx, elf, gbs, metadata

# What a packed image may unpack to here: small, so that bombs are met often.
LIMIT = 1 << 16
# A file of this size takes microseconds; a busy machine gets its share.
LONGEST_SECONDS = 2.0

_NUMBERS = (0, 1, 2, 0x7F, 0xFF, 0xFFF, 0x1000, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, (1 << 64) - 1)
_TOKENS = (b"{", b"[" * 500, b"]", b'"', b"null", b"1e999", b"\xff", b"\\u0000", b"-", b":")


def mutated(data: bytes, dice: random.Random) -> bytes:
    """Return the data with one to four faults."""
    for _ in range(dice.randint(1, 4)):
        data = dice.choice(_FAULTS)(data, dice)
    return data


def _cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randint(0, len(data))]


def _grow(data: bytes, dice: random.Random) -> bytes:
    return data + dice.randbytes(dice.randint(1, 64))


def _flip(data: bytes, dice: random.Random) -> bytes:
    return _over(data, dice, dice.randbytes(1))


def _number(data: bytes, dice: random.Random) -> bytes:
    size = dice.choice((2, 4, 8))
    value = dice.choice(_NUMBERS) & ((1 << 8 * size) - 1)
    return _over(data, dice, value.to_bytes(size, "little"))


def _token(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.choice(_TOKENS) + data[at:]


def _shuffle(data: bytes, dice: random.Random) -> bytes:
    low, high = sorted((dice.randint(0, len(data)), dice.randint(0, len(data))))
    return data[high:] + data[low:high] + data[:low]


def _over(data: bytes, dice: random.Random, new: bytes) -> bytes:
    # Headers are at the beginning and at the end, and worth the most attempts.
    span = dice.choice((24, 128, max(1, len(data))))
    at = dice.randrange(span)
    at = max(0, len(data) - at) if dice.random() < 0.3 else at
    return data[:at] + new + data[at + len(new) :]


_FAULTS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _cut,
    _grow,
    _flip,
    _number,
    _number,
    _token,
    _shuffle,
)


def generate(dice: random.Random) -> Iterator[bytes]:
    """Yield files for ever: each level of each format is spoilt in its turn."""
    bits = dice.choice((32, 64))
    bomb = gzip.compress(bytes(LIMIT + 1), mtime=0)
    packed = gzip.compress(gbs(), mtime=0)
    while True:
        yield mutated(gbs(), dice)
        yield gbs(mutated(metadata(), dice))
        yield mutated(aocx(bits=bits), dice)
        yield aocx(gzip.compress(mutated(gbs(), dice), 1, mtime=0), bits)
        yield aocx(mutated(packed, dice), bits)
        yield elf({".acl.fpga.bin": mutated(elf({".acl.gbs.gz": packed}, bits), dice)}, bits)
        yield aocx(mutated(bomb, dice), bits)
        bits = 96 - bits


def run(count: int, seed: int) -> Counter[str]:
    """Parse so many spoilt files; return how often each thing was said, "" for what still parsed.

    AssertionError, or whatever the parser lets through, names the number of the file: with the
    seed it can be made again.
    """
    outcomes: Counter[str] = Counter()
    for number, data in zip(range(count), generate(random.Random(seed)), strict=False):
        started = time.process_time()
        try:
            outcomes[_said(data)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, file {number}: {error!r}") from error
        assert time.process_time() - started < LONGEST_SECONDS, f"seed {seed}, file {number}: slow"
    return outcomes


def _said(data: bytes) -> str:
    try:
        _check(parse(bytearray(data), LIMIT), len(data))
    except InvalidValueError as refusal:
        if str(refusal).isprintable():
            return re.sub(r"\d+|:.*", "", str(refusal))
        raise
    return ""


def _check(found: Bitstream, size: int) -> None:
    assert good_id(found.interface) == found.interface
    assert good_id(found.afu) == found.afu
    assert 0 < len(found.image) <= max(size, LIMIT)


if __name__ == "__main__":
    seeds = random.Random().randrange(1 << 32) if len(sys.argv) < 3 else int(sys.argv[2])
    total = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    for text, times in run(total, seeds).most_common():
        print(f"{times:7} {text or 'parsed'}")  # noqa: T201 - a command
    print(f"{total:7} bitstreams, seed {seeds}")  # noqa: T201 - likewise
