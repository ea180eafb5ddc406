"""Loads only what is used of a very large module.

The whole of pynvml takes 18 MiB of memory, most of it for hundreds of structures that nothing here
asks for. Its source is taken apart into its top-level statements, and only those are run that the
wanted names need. Where that fails for any reason, the module is imported as usual.
"""

import re
import sys
from collections.abc import Collection, Iterator
from importlib.machinery import PathFinder
from types import CodeType, ModuleType
from typing import Final

_START: Final = re.compile(r"^(?=[A-Za-z_@])", re.MULTILINE)
_DEFINED: Final = re.compile(r"(?:def|class)\s+(\w+)|(\w+)\s*=(?!=)")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


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
    try:
        with open(found.origin, encoding="utf-8") as file:  # noqa: PTH123 - lighter
            code = _lean(file.read(), found.origin, wanted, re.compile(always))
        sys.modules[name] = module  # where the source looks for its own names
        exec(code, module.__dict__)  # noqa: S102 - what an import does
    except Exception as error:
        raise NotLeanError(repr(error)) from error
    finally:
        sys.modules.pop(name, None)
    if not any(hasattr(module, each) for each in wanted):
        raise NotLeanError(f"nothing that is wanted is in {name}")
    return module


def _lean(source: str, origin: str, wanted: Collection[str], always: re.Pattern[str]) -> CodeType:
    statements = [*_statements(source)]
    definitions: dict[str, list[int]] = {}
    needed: set[int] = set()
    todo = [*wanted]
    for number, (name, text) in enumerate(statements):
        if name:
            definitions.setdefault(name, []).append(number)
        if not name or always.fullmatch(name):
            needed.add(number)
            todo += _WORD.findall(text)
    seen: set[str] = set()
    while todo:
        word = todo.pop()
        if word in seen:
            continue
        seen.add(word)
        for number in definitions.get(word, ()):
            needed.add(number)
            todo += _WORD.findall(statements[number][1])
    kept = (
        text if number in needed else "\n" * text.count("\n")  # lines keep their numbers
        for number, (_, text) in enumerate(statements)
    )
    return compile("".join(kept), origin, "exec", dont_inherit=True, optimize=2)


def _statements(source: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of each top-level statement; the name is empty where none is defined."""
    decorators = ""
    for text in _START.split(source):
        if text.startswith("@"):
            decorators += text
            continue
        found = _DEFINED.match(text)
        name = (found[1] or found[2]) if found else ""
        yield name, decorators + text
        decorators = ""
