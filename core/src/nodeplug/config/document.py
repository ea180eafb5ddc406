"""Reading YAML strictly, and naming the place of an error in it."""

import re
import reprlib
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from nodeplug.values.errors import ConfigError

# No honest configuration is larger; a Kubernetes ConfigMap holds 1 MiB at most.
_SIZE_LIMIT = 1024 * 1024
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")

T = TypeVar("T")


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice; YAML would silently keep the last."""

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
    ) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                mark = node.value[position][0].start_mark
                raise yaml.MarkedYAMLError(problem=f"key {key!r} is given twice", problem_mark=mark)
        return super().construct_mapping(node, deep)


def read_document(path: Path) -> Any:
    """Return the content of a YAML or JSON file; raise ConfigError naming file, line and column."""
    try:
        with path.open("rb") as file:
            data = file.read(_SIZE_LIMIT + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", str(path)) from error
    if len(data) > _SIZE_LIMIT:
        raise ConfigError(f"{path}: is larger than {_SIZE_LIMIT} bytes", str(path))
    return parse_document(data, path)


def parse_document(data: bytes, path: Path) -> Any:
    """Return what YAML or JSON says; raise ConfigError naming its origin, line and column."""
    try:
        return yaml.load(data, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}: line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise ConfigError(f"{place}: {error.problem or error.context}", place) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply", str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not YAML: {text}", str(path)) from error


def convert(data: Any, kind: type[T], file: Path, prefix: str = "") -> T:
    """Return the data as an instance of a settings type.

    Raises ConfigError with file, key and value; `prefix` is where in the file the data stands.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        path = path.rstrip("`")
        if unknown := re.search(r"unknown field `(.*)`", problem):
            key = f"{prefix}{path}.{unknown[1]}".lstrip(".")
            problem = "is not a known key; `nodeplug config schema` lists them"
        else:
            key = f"{prefix}{path}".lstrip(".") or "(top level)"
            if not isinstance(error.__cause__, ValueError):  # a check of the type itself says all
                problem = f"{_plain(problem)}, found {_shown(_find(data, path))}"
        place = f"{file}: {key}"
        raise ConfigError(f"{place}: {problem}", place) from error


def _find(data: Any, path: str) -> Any:
    for name, index in _STEP.findall(path):
        try:
            data = data[name] if name else data[int(index)]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _plain(problem: str) -> str:
    expected = problem.split(", got ", maxsplit=1)[0]
    return expected[:1].lower() + expected[1:]


def _shown(value: Any) -> str:
    # Aliases let a small file stand for a text without end.
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - one terminal line
