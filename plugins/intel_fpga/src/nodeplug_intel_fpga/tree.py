"""Walks in sysfs."""

from collections.abc import Iterator
from pathlib import Path

from nodeplug.host.sysfs import names_in


def children(folder: Path, prefix: str) -> list[Path]:
    """Return what is in a folder under names of a prefix and a number, by number."""
    names = [name for name in names_in(folder) if name.startswith(prefix)]
    found = [name for name in names if _is_number(name[len(prefix) :])]
    return [folder / name for name in sorted(found, key=lambda name: (len(name), name))]


def find(folder: Path, pattern: str) -> Iterator[Path]:
    """Yield the paths below a folder that a pattern leads to; "*" ends a step, for a number.

    Where the last step is without "*", the path need not exist.
    """
    step, slash, rest = pattern.partition("/")
    places = children(folder, step[:-1]) if step.endswith("*") else [folder / step]
    for place in places:
        if slash:
            yield from find(place, rest)
        else:
            yield place


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
