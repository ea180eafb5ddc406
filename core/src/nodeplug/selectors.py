"""The one grammar that picks devices by a value, wherever configuration picks devices.

`A100*` is a glob, `!T4` excludes, `>=40`, `<8` and `16..80` are ranges of numbers, anything else
is equality. Of a list one must hold, and none of its exclusions may.
"""

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

from nodeplug.values.device import Attribute, Device
from nodeplug.values.errors import InvalidValueError

Selector = str | int | bool | list[str | int | bool]

_COMPARISON = re.compile(r"(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)")
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": float.__ge__,
    "<=": float.__le__,
    ">": float.__gt__,
    "<": float.__lt__,
}


def check_selector(selector: Selector) -> None:
    """Raise InvalidValueError if nothing could ever match."""
    for term in _terms(selector):
        found = _RANGE.fullmatch(term.removeprefix("!"))
        if found and float(found[1]) > float(found[2]):
            raise InvalidValueError(f"range {term!r} is empty")
        if term in {"", "!"}:
            raise InvalidValueError(f"selector {term!r} says nothing")


def check_selectors(selectors: Mapping[str, Selector]) -> None:
    """Raise InvalidValueError naming the attribute whose selector could never match."""
    for name, selector in selectors.items():
        try:
            check_selector(selector)
        except InvalidValueError as error:
            raise InvalidValueError(f"devices.{name}: {error}") from error


def matches(device: Device, selectors: Mapping[str, Selector]) -> bool:
    """Whether a device satisfies a selector for each of these attributes.

    Besides its attributes and capacity a device has `id`, `parent` and `numa`.
    """
    if not selectors:
        return True
    facts = facts_of(device)
    return all(_holds(selector, facts.get(name)) for name, selector in selectors.items())


def facts_of(device: Device) -> dict[str, Attribute]:
    """Return everything that a device can be picked by."""
    numa = ",".join(map(str, device.numa_nodes))
    own: dict[str, Attribute] = {"id": device.id, "parent": device.parent, "numa": numa}
    return {**own, **device.capacity, **device.attributes}


def _holds(selector: Selector, value: Attribute | None) -> bool:
    if value is None:
        return False
    terms = _terms(selector)
    wanted = [term for term in terms if not term.startswith("!")]
    excluded = [term[1:] for term in terms if term.startswith("!")]
    text = _text(value)
    if any(_term_holds(term, text) for term in excluded):
        return False
    return not wanted or any(_term_holds(term, text) for term in wanted)


def _terms(selector: Selector) -> list[str]:
    return [_text(each) for each in (selector if isinstance(selector, list) else [selector])]


def _term_holds(term: str, text: str) -> bool:
    if found := _COMPARISON.fullmatch(term):
        number = _number(text)
        return number is not None and _COMPARE[found[1]](number, float(found[2]))
    if found := _RANGE.fullmatch(term):
        number = _number(text)
        return number is not None and float(found[1]) <= number <= float(found[2])
    return fnmatchcase(text, term)


def _text(value: Attribute) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
