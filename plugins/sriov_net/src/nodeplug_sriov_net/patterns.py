"""Lists of wanted values in selectors: plain, as patterns, negated, with ranges of functions."""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Final

import msgspec

# Far more virtual functions than PCI allows one physical function (the field has 16 bits).
_INDEX_LIMIT: Final = 65535


class Pattern(msgspec.Struct, frozen=True):
    """One entry of a list: a text or glob, perhaps negated, perhaps for some indexes only."""

    text: str
    negated: bool = False
    ranges: tuple[tuple[int, int], ...] = ()

    def matches(self, values: Iterable[str], index: int | None) -> bool:
        """Return whether one of the values is meant, and the index if ranges are given."""
        if self.ranges and not any(
            index is not None and low <= index <= high for low, high in self.ranges
        ):
            return False
        return any(value == self.text or fnmatchcase(value, self.text) for value in values)


class Patterns:
    """A selector's list: what no negated entry matches, and some other entry does, if there is one.

    `normal` brings texts of the list and values of devices into one form.
    """

    def __init__(
        self, texts: Sequence[str], normal: Callable[[str], str] = str, *, ranged: bool = False
    ) -> None:
        patterns = [parse(text, normal, ranged=ranged) for text in texts]
        self._normal = normal
        self._unwanted = [each for each in patterns if each.negated]
        self._wanted = [each for each in patterns if not each.negated]

    def match(self, values: Sequence[str], index: int | None = None) -> bool:
        """Return whether a device with one of these values, under this index, is selected."""
        found = [self._normal(value) for value in values]
        if any(each.matches(found, index) for each in self._unwanted):
            return False
        return not self._wanted or any(each.matches(found, index) for each in self._wanted)


def parse(text: str, normal: Callable[[str], str] = str, *, ranged: bool = False) -> Pattern:
    """Return an entry such as `ens1*`, `!ens2` or, with ranges, `ens1#0-3,7`.

    Raises ValueError where nothing is named, or a range is none.
    """
    negated = text.startswith("!")
    name, mark, ranges = text[negated:].partition("#") if ranged else (text[negated:], "", "")
    if not name:
        raise ValueError(f"{text!r} names nothing")
    return Pattern(normal(name), negated, _ranges(text, ranges) if mark else ())


def plain_hex(text: str) -> str:
    """Return a hexadecimal id as sysfs has it less `0x`: `8086` for `0x8086`; globs as they are."""
    digits = text.lower().removeprefix("0x")
    return digits if any(letter in digits for letter in "*?[") else digits.zfill(4)


def plain_address(text: str) -> str:
    """Return a PCI address in full and in lower case, the domain added where it is left out."""
    address = text.lower()
    return f"0000:{address}" if address.count(":") == 1 and "*" not in address else address


def plain_key(text: str) -> str:
    """Return a partition key without leading zeros: `0x1` and `0x0001` are the same."""
    return text.lower().removeprefix("0x").lstrip("0") or "0"


def _ranges(text: str, ranges: str) -> tuple[tuple[int, int], ...]:
    return tuple(_range(text, each) for each in ranges.split(","))


def _range(text: str, part: str) -> tuple[int, int]:
    low, dash, high = part.strip().partition("-")
    ends = (low, high if dash else low)
    if not all(end.isascii() and end.isdigit() and int(end) <= _INDEX_LIMIT for end in ends):
        raise ValueError(
            f"{text!r}: {part!r} is no index and no range; write #0-3,7 after the name"
        )
    if int(ends[0]) > int(ends[1]):
        raise ValueError(f"{text!r}: range {part!r} ends before it begins")
    return int(ends[0]), int(ends[1])
