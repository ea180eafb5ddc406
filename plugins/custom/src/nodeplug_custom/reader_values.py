"""Values in the files of other plugins, each checked where it stands."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, TypeVarTuple

from nodeplug.values.errors import InvalidValueError

Values = TypeVarTuple("Values")
Result = TypeVar("Result")

_IN_GO = {
    r"\z": r"\Z",
    "{,": r"\{,",
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_",
    "[:xdigit:]": "0-9A-Fa-f",
}

# What an offer may say (nodeplug.offers).
_COUNT_LIMIT = 100_000


def known_map(where: str, values: Any, known: Collection[str]) -> Mapping[str, Any]:
    """Return a map that has known keys only."""
    if not isinstance(values, Mapping):
        raise InvalidValueError(f"{where}: must be a map")
    for key in values:
        if key not in known:
            raise InvalidValueError(f"{where}.{key}: is not a known key")
    return values


def text(where: str, values: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """Return a text; without a default it must be there."""
    value = values.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise InvalidValueError(f"{where}.{key}: must be a text")
    return value


def fit(where: str, check: Callable[[*Values], Result], *values: *Values) -> Result:
    """Refuse a value that would mean nothing here either, by its place in the file."""
    try:
        return check(*values)
    except ValueError as error:
        raise InvalidValueError(f"{where}: {error}") from error


def truth(where: str, values: Mapping[str, Any], key: str) -> bool:
    """Return whether something is so; not unless it is said."""
    value = values.get(key)
    if not isinstance(value, bool | None):
        raise InvalidValueError(f"{where}.{key}: must be true or false")
    return bool(value)


def count(where: str, values: Mapping[str, Any], key: str, none: int = 0) -> int:
    """Return by how many something may be had; `none` stands for 0 and for nothing said."""
    value = values.get(key)
    number = none if value is None or (type(value) is int and not value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= _COUNT_LIMIT:
        raise InvalidValueError(f"{where}.{key}: must be a number from 1 to {_COUNT_LIMIT}")
    return number


def go_glob(pattern: str) -> str:
    r"""Return a pattern of Go's path.Match in the way of a shell: with `[!a]` for `[^a]`.

    Raises ValueError where Go would not take it.
    """
    if re.search(r"\[|\\$", re.sub(r"\[\^?(\\.|[^\]\\])+\]|\\.", "", pattern)):
        raise ValueError(f"{pattern!r} is no pattern: a bracket or a backslash stands alone")
    text = re.sub(r"\[\^", "[\0", pattern)
    text = re.sub(r"\[!([^\]]+)\]", r"[\1!]", text).replace("\0", "!")
    return re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], text)


def go_regex(pattern: str) -> str:
    r"""Return an expression of Go's regexp in the way of Python: without `[:digit:]` and `\z`."""
    return re.sub(r"\\.|\[:\w+:\]|\{,", lambda found: _IN_GO.get(found[0], found[0]), pattern)


def labelled(
    resource: str, entries: Iterable[tuple[dict[str, object], int]]
) -> list[dict[str, object]]:
    """Return the offers for entries with counts; label the entries where these differ."""
    found = [*entries]
    counts = sorted({number for _, number in found})
    offers: list[dict[str, object]] = []
    several = len(counts) > 1
    for entry, number in found if several else ():
        entry["labels"] = {"replicas": str(number)}
    for number in counts:
        picked = {"devices": {"replicas": str(number)}} if several else {}
        if number > 1:
            offers.append({"resource": resource, **picked, "replicas": number})
    return offers
