"""Path patterns of the host, in the way of a shell."""

import os
import posixpath
import re
from collections.abc import Iterator
from fnmatch import translate
from functools import cached_property
from glob import escape
from itertools import takewhile
from pathlib import Path
from stat import S_ISLNK
from typing import Final

import msgspec

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import names_in

_WILD: Final = re.compile(r"[*?\[]")


class Step(msgspec.Struct, frozen=True, dict=True):
    """One step of a pattern: a name, or a name with `*`, `?` or `[...]`."""

    text: str

    @cached_property
    def wild(self) -> bool:
        """Whether more than one name can match."""
        return _WILD.search(self.text) is not None

    def matches(self, name: str) -> bool:
        """Return whether a name matches; one that begins with a dot does so only by a dot."""
        if not self.wild:
            return name == self.text
        hidden = name.startswith(".") and not self.text.startswith(".")
        return not hidden and self._regex.match(name) is not None

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(translate(self.text))


class Place(msgspec.Struct, frozen=True):
    """A directory of the host whose links are resolved, and a step that is looked for in it."""

    directory: str
    step: Step


class Glob:
    """A pattern of absolute host paths."""

    def __init__(self, pattern: str, *, deep: bool = False) -> None:
        """Take a pattern; of a `deep` one, a match that is a directory is what is in it."""
        self.deep = deep
        self._steps = [Step(text) for text in pattern.split("/")[1:]]

    @property
    def wild(self) -> bool:
        """Whether more than one path can match."""
        return any(step.wild for step in self._steps)

    @property
    def folder(self) -> str:
        """The directory before the first step with a wildcard, or else before the last step."""
        fixed = takewhile(lambda step: not step.wild, self._steps[:-1])
        return "/" + "/".join(step.text for step in fixed)

    def matches(self, path: str) -> bool:
        """Return whether a host path matches, existing or not."""
        names = path.split("/")[1:]
        return len(names) == len(self._steps) and all(
            step.matches(name) for step, name in zip(self._steps, names, strict=True)
        )

    def find(self, root: HostRoot) -> tuple[list[str], list[Place]]:
        """Return the matching paths in order, and where a change may bring or take one.

        Links are followed within the root. What cannot be read has no matches. Blocks.
        """
        paths, places = [""], []
        for number, step in enumerate(self._steps, start=1):
            if not step.wild and number < len(self._steps):
                paths = [f"{path}/{step.text}" for path in paths]
                continue
            looked = [(path, resolve(root, path or "/")) for path in paths]
            places += [Place(directory, step) for _, directory in looked]
            paths = [
                f"{path}/{name}"
                for path, directory in looked
                for name in _names(root.path(directory), step)
            ]
        return paths, places


def check_pattern(pattern: str) -> str:
    """Return a pattern unchanged if it can match; else raise ValueError."""
    steps = pattern.split("/")
    if steps[0] or len(steps) < 2 or any(step in {"", ".", ".."} for step in steps[1:]):  # noqa: PLR2004 - "/" and a step
        problem = "must begin with '/' and have no empty step, no '.' or '..' and no '/' at its end"
    elif "**" in pattern:
        problem = "must not hold '**'; write one '*' for each step"
    elif not pattern.isprintable():
        problem = "must hold printable characters only"
    else:
        return pattern
    raise ValueError(f"{pattern!r} {problem}")


def place_of(path: str) -> Place:
    """Return the place where this path alone is looked for."""
    directory, name = posixpath.split(path)
    return Place(directory, Step(escape(name)))


def resolve(root: HostRoot, path: str) -> str:
    """Return a host path with its links followed; one in a loop of links leads to itself."""
    try:
        return root.resolve(path)
    except OSError:
        return path


def why_gone(top: str, path: str) -> str:
    """Return why a host path below `top`, which led through no link, is not there; or nothing."""
    place = top
    try:
        for step in path[1:].split("/"):
            place = f"{place}/{step}"
            if S_ISLNK(os.lstat(place).st_mode):
                return "has become a link"  # that nobody has looked at
    except OSError:
        return "is not present"
    return ""


def _names(directory: Path, step: Step) -> Iterator[str]:
    if not step.wild:
        if os.path.lexists(directory / step.text):
            yield step.text
        return
    yield from filter(step.matches, names_in(directory))
