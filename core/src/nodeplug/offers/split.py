"""Names of resources that are split by a value: each value has a name of its own."""

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping

_NAME_LIMIT = 63
# As many hexadecimal digits as a checksum of 32 bits has, and a hyphen.
_MARK_LENGTH = 9


def split_names(public_name: str, values: Iterable[str]) -> Mapping[str, str]:
    """Return a public name for each value.

    It ends in the value, in characters that names may have. Where that drops or cuts anything but
    case, spaces and underscores, or would make two values one, a checksum of the value follows.
    """
    endings = {value: _ending(value) for value in values}
    shared = Counter(endings.values())
    names = {}
    for value, ending in endings.items():
        plain = value == ending or (shared[ending] == 1 and _folded(value) == ending)
        names[value] = _joined(public_name, value, ending, marked=not plain)
    return names


def _ending(value: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-.").lower()


def _folded(value: str) -> str:
    return re.sub(r"[ _]", "-", value).lower()


def _joined(public_name: str, value: str, ending: str, *, marked: bool) -> str:
    if not value:
        return public_name
    domain, _, part = public_name.partition("/")
    name = f"{part}-{ending}" if ending else part
    if marked or len(name) > _NAME_LIMIT:
        kept = name[: _NAME_LIMIT - _MARK_LENGTH].rstrip("-._")
        name = f"{kept}-{zlib.crc32(value.encode(errors='surrogatepass')):08x}"
    return f"{domain}/{name}"
