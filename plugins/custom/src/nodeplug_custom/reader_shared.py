"""What several groups of a file name is for all of them: that plugin excludes nothing."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from itertools import combinations
from string import printable
from typing import Any, NamedTuple

_Settings = dict[str, Any]
# A letter, a wildcard, or a set of letters.
_PART = re.compile(r"\[!?\]?[^]]*\]|.")
# The longest name that Linux has (NAME_MAX).
_NAME_LIMIT = 255


class _Path(NamedTuple):
    group: int
    settings: _Settings
    steps: Sequence[Sequence[str]]

    def meets(self, other: "_Path") -> bool:
        """Return whether a path may match both, or a directory above what the other matches."""
        pairs = zip(self.steps, other.steps, strict=False)
        return all(mine == theirs or _meet(mine, theirs) for mine, theirs in pairs)


def share(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Let paths and USB devices that several groups name be shared by these; return which."""
    for one, other in combinations(_paths(resources), 2):
        if one.group != other.group and one.meets(other):
            one.settings["exclusive"] = other.settings["exclusive"] = False
    for mine, theirs in combinations(_members(resources), 2):
        if _are_alike(mine["usb"], theirs["usb"]):
            mine["exclusive"] = theirs["exclusive"] = False
    return [*_told(resources)]


def _told(resources: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for resource in resources:
        entries = [*_members([resource]), *(each.settings for each in _paths([resource]))]
        shared = (each.get("path") or each["usb"] for each in entries if "exclusive" in each)
        for what in shared:
            name = what if isinstance(what, str) else ":".join(what.values())
            yield f"{resource['name']}: {name} is named by several groups, and may be used by all"


def _paths(resources: Sequence[Mapping[str, Any]]) -> Iterator[_Path]:
    groups = [group for resource in resources for group in resource.get("zipped", ())]
    for number, group in enumerate(groups):
        for each in group["paths"]:
            steps = [tuple(_PART.findall(step)[:_NAME_LIMIT]) for step in each["path"].split("/")]
            yield _Path(number, each, steps)


@lru_cache(4096)
def _meet(one: Sequence[str], other: Sequence[str]) -> bool:
    """Return whether a name may match two patterns, each in its parts."""
    if not one or not other:
        return {*one, *other} <= {"*"}
    if "*" in {one[0], other[0]}:
        return _meet(one[1:], other) or _meet(one, other[1:])
    plain = (part for part in (one[0], other[0]) if len(part) == 1 and part != "?")
    letters = next(plain, printable)
    both = any(fnmatchcase(each, one[0]) and fnmatchcase(each, other[0]) for each in letters)
    return both and _meet(one[1:], other[1:])


def _members(resources: Sequence[Mapping[str, Any]]) -> Iterator[_Settings]:
    for resource in resources:
        for group in resource.get("sets", ()):
            yield from group["members"]


def _are_alike(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether one device may be both."""
    return all(one.get(key, value) == value for key, value in other.items())
