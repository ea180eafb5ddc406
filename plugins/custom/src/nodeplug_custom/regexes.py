"""Paths picked by a regular expression."""

import os
import re
import warnings
from collections.abc import Iterator

from nodeplug.host.root import HostRoot
from nodeplug_custom.globs import Place, Step, resolve

# As deep as device nodes lie, and the limit of the plugin whose configuration knows these.
_DEPTH = 10
_LENGTH_LIMIT = 200


class Regex:
    """All nodes below /dev whose path there has a match anywhere in it."""

    wild = True
    folder = "/dev"

    def __init__(self, pattern: str, *, deep: bool = False) -> None:
        """Take an expression; that of a `deep` one may be the path of a directory, too."""
        self.deep = deep
        self._pattern = re.compile(pattern)

    def matches(self, path: str) -> bool:
        """Return whether a host path matches, existing or not."""
        below = path.removeprefix("/dev/")
        return below != path and self._pattern.search(below) is not None

    def find(self, root: HostRoot) -> tuple[list[str], list[Place]]:
        """Return the matching paths in order, and where a change may bring or take one. Blocks."""
        paths: list[str] = []
        places: list[Place] = []
        for directory, names, folders in _walk(root, "/dev", _DEPTH):
            places.append(Place(directory, Step("*")))
            paths += [f"{directory}/{name}" for name in (*names, *(folders if self.deep else ()))]
        return sorted(path for path in paths if self.matches(path)), places


def check_regex(pattern: str) -> str:
    """Return a regular expression unchanged if it can be used; else raise ValueError."""
    if not pattern.isprintable() or len(pattern) > _LENGTH_LIMIT:
        raise ValueError(f"{pattern[:40]!r} must be printable, at most {_LENGTH_LIMIT} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)  # what others read otherwise
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}") from error
    return pattern


def _walk(root: HostRoot, directory: str, depth: int) -> Iterator[tuple[str, list[str], list[str]]]:
    place = root.path(resolve(root, directory))
    try:
        entries = sorted(os.scandir(place), key=lambda entry: entry.name)
    except OSError:
        return
    folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    yield directory, [entry.name for entry in entries if entry.name not in folders], folders
    for name in folders if depth else ():
        yield from _walk(root, f"{directory}/{name}", depth - 1)
