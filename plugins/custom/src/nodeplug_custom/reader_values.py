"""Values in the files of other plugins, each checked where it stands."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVarTuple

from nodeplug.values.errors import InvalidValueError

Values = TypeVarTuple("Values")

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


def fit(where: str, check: Callable[[*Values], object], *values: *Values) -> None:
    """Refuse a value that would mean nothing here either, by its place in the file."""
    try:
        check(*values)
    except ValueError as error:
        raise InvalidValueError(f"{where}: {error}") from error


def truth(where: str, values: Mapping[str, Any], key: str) -> bool:
    """Return whether something is so; not unless it is said."""
    value = values.get(key)
    if not isinstance(value, bool | None):
        raise InvalidValueError(f"{where}.{key}: must be true or false")
    return bool(value)


def count(where: str, values: Mapping[str, Any], key: str) -> int:
    """Return by how many something may be had; one unless it is said."""
    value = values.get(key)
    number = 1 if value is None else value
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= _COUNT_LIMIT:
        raise InvalidValueError(f"{where}.{key}: must be a number from 1 to {_COUNT_LIMIT}")
    return number


def go_glob(pattern: str) -> str:
    r"""Return a pattern of Go's path.Match in the way of a shell: with `[!a]` for `[^a]`."""
    text = re.sub(r"\[\^", "[\0", pattern)
    text = re.sub(r"\[!([^\]]+)\]", r"[\1!]", text).replace("\0", "!")
    return re.sub(r"\\(.)", lambda found: f"[{found[1]}]" if found[1] in "*?[" else found[1], text)


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
