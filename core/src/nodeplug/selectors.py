"""The one grammar that picks devices by a value, wherever configuration picks devices.

`A100*` is a glob, `!T4` excludes, `>=40`, `<8` and `16..80` are ranges of numbers, anything else
is equality. Of a list one must hold, and none of its exclusions may.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import translate
from functools import partial

from nodeplug.values.device import Attribute, Device
from nodeplug.values.errors import InvalidValueError

Selector = str | int | bool | list[str | int | bool]

_COMPARISON = re.compile(r"(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)")
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)")
# What is meant as one of these: a number with a unit is none.
_MEANT = re.compile(r"[<>].*|-?\d[^.]*(?:\.\d[^.]*)?\.\.-?\d.*", re.DOTALL)
# What no device has as a number.
_TEXTS = frozenset({"id", "parent"})
_WILDCARDS = frozenset("*?[")
# As YAML 1.2 may have them.
_TRUTHS = {True: ("true", "True", "TRUE"), False: ("false", "False", "FALSE")}
# The longest name of a file; a glob takes time by the square of its length.
_TERM_LIMIT = 255
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">=": float.__ge__,
    "<=": float.__le__,
    ">": float.__gt__,
    "<": float.__lt__,
}


def check_selector(selector: Selector) -> None:
    """Raise InvalidValueError if nothing could ever match, or a comparison cannot be made."""
    for term in _terms(selector):
        plain = term.removeprefix("!")
        found = _RANGE.fullmatch(plain)
        if found and float(found[1]) > float(found[2]):
            raise InvalidValueError(f"range {term!r} is empty")
        if not found and _MEANT.fullmatch(plain) and not _COMPARISON.fullmatch(plain):
            raise InvalidValueError(f"{term!r} compares with what is no number, such as 40")
        if term in {"", "!"}:
            raise InvalidValueError(f"selector {term!r} says nothing")
        if len(term) > _TERM_LIMIT:
            raise InvalidValueError(f"selector {term[:20]!r}... is longer than {_TERM_LIMIT}")


def check_selectors(selectors: Mapping[str, Selector]) -> None:
    """Raise InvalidValueError naming the attribute whose selector could never match."""
    for name, selector in selectors.items():
        try:
            check_selector(selector)
        except InvalidValueError as error:
            raise InvalidValueError(f"devices.{name}: {error}") from error
        if name in _TEXTS and any(map(_compares_numbers, _terms(selector))):
            problem = "is text, which is no more and no less than other text"
            raise InvalidValueError(f"devices.{name}: {problem}")


def matches(device: Device, selectors: Mapping[str, Selector]) -> bool:
    """Whether a device satisfies a selector for each of these attributes.

    Besides its attributes and capacity a device has `id`, `parent` and `numa`.
    """
    return not selectors or test_for(selectors)(facts_of(device))


def test_for(selectors: Mapping[str, Selector]) -> Callable[[Mapping[str, Attribute]], bool]:
    """Return what tells of a device's facts whether they satisfy all these selectors.

    Making it costs more than using it; it is for many devices.
    """
    tests = [(name, _test_of(_terms(selector))) for name, selector in selectors.items()]
    return lambda facts: all(test(facts.get(name)) for name, test in tests)


def facts_of(device: Device) -> dict[str, Attribute]:
    """Return everything that a device can be picked by."""
    numa = ",".join(map(str, device.numa_nodes))
    own: dict[str, Attribute] = {"id": device.id, "parent": device.parent, "numa": numa}
    return {**own, **device.capacity, **device.attributes}


def _test_of(terms: Sequence[str]) -> Callable[[Attribute | None], bool]:
    excluded = _any_of([term[1:] for term in terms if term.startswith("!")])
    wanted_terms = [term for term in terms if not term.startswith("!")]
    wanted = _any_of(wanted_terms) if wanted_terms else lambda _: True

    def test(value: Attribute | None) -> bool:
        if value is None:
            return False
        texts = _TRUTHS[value] if isinstance(value, bool) else (str(value),)
        return any(map(wanted, texts)) and not any(map(excluded, texts))

    return test


def _any_of(terms: Sequence[str]) -> Callable[[str], bool]:
    exact = frozenset(term for term in terms if _is_plain(term))
    others = [_term_test(term) for term in terms if term not in exact]
    if not others:
        return exact.__contains__
    return lambda text: text in exact or any(test(text) for test in others)


def _compares_numbers(term: str) -> bool:
    plain = term.removeprefix("!")
    return bool(_COMPARISON.fullmatch(plain) or _RANGE.fullmatch(plain))


def _is_plain(term: str) -> bool:
    return not (_WILDCARDS.intersection(term) or _COMPARISON.match(term) or _RANGE.match(term))


def _terms(selector: Selector) -> list[str]:
    return [text_of(each) for each in (selector if isinstance(selector, list) else [selector])]


def _term_test(term: str) -> Callable[[str], bool]:
    if found := _COMPARISON.fullmatch(term):
        return partial(_compares, _COMPARE[found[1]], float(found[2]))
    if found := _RANGE.fullmatch(term):
        return partial(_in_range, float(found[1]), float(found[2]))
    glob = re.compile(translate(term))
    return lambda text: glob.match(text) is not None


def _compares(compare: Callable[[float, float], bool], limit: float, text: str) -> bool:
    number = _number(text)
    return number is not None and compare(number, limit)


def _in_range(least: float, most: float, text: str) -> bool:
    number = _number(text)
    return number is not None and least <= number <= most


def text_of(value: Attribute) -> str:
    """Return what a value is compared as."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
