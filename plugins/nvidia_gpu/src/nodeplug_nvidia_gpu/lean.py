"""Loads only what is used of a very large module.

The whole of pynvml takes 5 MiB of memory, and 18 MiB where it must be compiled first, most of it
for hundreds of structures that nothing here asks for. Of its source only those top-level
statements are run that the wanted names need, found without ever having all of it in memory.
Where that fails for any reason, the caller imports the module as usual.
"""

import mmap
import re
import sys
from collections.abc import Collection, Iterator
from importlib.machinery import PathFinder
from types import ModuleType
from typing import Final

# A statement begins at the left margin and ends where the next begins; decorators belong to it.
_STATEMENT: Final = re.compile(
    rb"^(?:@.*\n(?:#.*\n|\n)*)*(?:(?:def|class)[ ]+(\w+)|(\w+)[ ]*=(?!=)|[A-Za-z_])", re.MULTILINE
)
_WORD: Final = re.compile(rb"[A-Za-z_]\w*")


class NotLeanError(Exception):
    """The source is not what this module can take apart."""


def load(name: str, wanted: Collection[str], always: str) -> ModuleType:
    """Return a module with the wanted names, as far as it knows them, and all they need.

    Names that match the pattern `always` are kept whoever needs them. Raises NotLeanError.
    """
    found = PathFinder.find_spec(name)
    if found is None or found.origin is None:
        raise NotLeanError(f"no source of {name}")
    module = ModuleType(name)
    before = sys.modules.get(name)
    sys.modules[name] = module  # where the source looks for its own names
    try:
        _run(found.origin, module, {each.encode() for each in wanted}, always.encode())
    except Exception as error:
        raise NotLeanError(repr(error)) from error
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
    if not any(hasattr(module, each) for each in wanted):
        raise NotLeanError(f"nothing that is wanted is in {name}")
    return module


def _run(origin: str, module: ModuleType, wanted: set[bytes], always: bytes) -> None:
    with (
        open(origin, "rb") as file,  # noqa: PTH123 - lighter
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as source,
    ):
        for start, end in _needed(source, wanted, re.compile(always)):
            code = compile(source[start:end], origin, "exec", dont_inherit=True, optimize=2)
            exec(code, module.__dict__)  # noqa: S102 - what an import does


def _needed(
    source: mmap.mmap, wanted: set[bytes], always: re.Pattern[bytes]
) -> list[tuple[int, int]]:
    """Return where the statements begin and end that the names need, and those they need."""
    needed: set[tuple[int, int]] = set()
    size = -1
    while len(needed) > size:
        size = len(needed)
        for start, end, name in _statements(source):
            if (start, end) not in needed and (not name or name in wanted or always.match(name)):
                needed.add((start, end))
                wanted.update(_WORD.findall(source, start, end))
    return sorted(needed)


def _statements(source: mmap.mmap) -> Iterator[tuple[int, int, bytes]]:
    """Yield begin, end and name of each statement; one that defines nothing has no name."""
    start, name = 0, b""
    for found in _STATEMENT.finditer(source):
        yield start, found.start(), name
        start, name = found.start(), found[1] or found[2] or b""
    yield start, len(source), name
