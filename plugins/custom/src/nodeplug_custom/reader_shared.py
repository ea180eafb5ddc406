"""What several groups of a file name is for all of them: that plugin excludes nothing."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

from nodeplug_custom.globs import Glob

_Settings = dict[str, Any]


class _Path(NamedTuple):
    group: int
    settings: _Settings
    glob: Glob
    steps: Sequence[str]

    def covers(self, other: "_Path") -> bool:
        """Return whether it matches another, taken as a text, or a directory above that."""
        return self.glob.matches("/".join(other.steps[: len(self.steps)]))


def share(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Let paths and USB devices that several groups name be shared by these; return which."""
    for one, other in combinations(_paths(resources), 2):
        if one.group != other.group and (one.covers(other) or other.covers(one)):
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
            yield _Path(number, each, Glob(each["path"]), each["path"].split("/"))


def _members(resources: Sequence[Mapping[str, Any]]) -> Iterator[_Settings]:
    for resource in resources:
        for group in resource.get("sets", ()):
            yield from group["members"]


def _are_alike(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether one device may be both."""
    return all(one.get(key, value) == value for key, value in other.items())
