"""Reading YAML strictly, and naming the place of an error in it."""

import re
import reprlib
from collections.abc import Callable, Hashable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import yaml

from nodeplug.values.errors import ConfigError


class Limits(msgspec.Struct, frozen=True):
    """How much a document may be: bytes, values, and how deep one stands in another.

    What an alias stands for counts each time: a small text can say very much.
    """

    size: int
    values: int
    depth: int


# No honest configuration is larger; a Kubernetes ConfigMap holds 1 MiB at most.
_LIMITS = Limits(size=1024 * 1024, values=200_000, depth=100)
_INTEGER_BITS = 64
_KEPT_SIZE = 64 * 1024
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")
# YAML 1.2, 10.3.2: the core schema.
_NULL = re.compile(r"(~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"[-+]?[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")

_MERGE = "tag:yaml.org,2002:merge"

# What PyYAML lets through where a tag says what a text is not, such as the 99th day of a month.
_NO_VALUE = (ValueError, AttributeError, LookupError, TypeError)

T = TypeVar("T")


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses what is too much, and a key given twice: YAML would keep the last.

    Numbers and truth are text as it stands: what they are is known where it is known what is
    wanted. Text as others read YAML is that of its version 1.2: `on`, `0:01` and `1_2` are.
    """

    def __init__(self, data: bytes, limits: Limits) -> None:
        super().__init__(data)
        self._limits = limits
        self._depth = 0
        self._values = 0
        self._behind: dict[str, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: yaml.NodeEvent = self.peek_event()  # type: ignore[no-untyped-call]
        anchor = event.anchor or ""
        before, self._values, self._depth = self._values, self._values + 1, self._depth + 1
        if isinstance(event, yaml.AliasEvent) and anchor in self.anchors:
            # One that is not known yet stands within what it stands for, without end.
            self._values += self._behind.get(anchor, self._limits.values)
        if self._values > self._limits.values:
            self._refuse(event, f"that makes more than {self._limits.values} values")
        if self._depth > self._limits.depth:
            self._refuse(event, f"is nested more than {self._limits.depth} deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if not isinstance(event, yaml.AliasEvent):
            self._behind[anchor] = self._values - before
        return node

    def construct_object(
        self,
        node: yaml.Node,
        deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
    ) -> Any:
        try:
            value = super().construct_object(node, deep)
        except _NO_VALUE:
            self._refuse(node, "is not a value of its type")
        if isinstance(value, int) and value.bit_length() > _INTEGER_BITS:
            self._refuse(node, "is too large a number")
        return value

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """Return the text; JSON writes a character beyond U+FFFF as two halves."""
        text = super().construct_scalar(node)
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            self._refuse(node, "is half a character")

    def _refuse(self, where: Any, problem: str) -> NoReturn:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)

    def construct_mapping(
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002 - PyYAML's signature
    ) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue  # what it brings may be said otherwise beside it
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable):  # others are refused by SafeLoader
                if key in seen:
                    self._refuse(key_node, f"key {key!r} is given twice")
                seen.add(key)
        return super().construct_mapping(node, deep)


class _TypedLoader(_StrictLoader):
    """One that tells numbers and truth from text, where nobody says what is wanted.

    A number that is not written as it is usually printed is text, too: 0403, 1.10.
    """

    def construct_number(self, node: yaml.ScalarNode) -> int | float | str:
        value = int(node.value) if _INT.match(node.value) else float(node.value)
        return value if str(value) == node.value else str(node.value)

    def construct_bool(self, node: yaml.ScalarNode) -> bool:
        return str(node.value).lower() == "true"


_NUMBER = "tag:nodeplug:number"
_StrictLoader.yaml_implicit_resolvers = {}
for loader, tag, form in (
    (_StrictLoader, "tag:yaml.org,2002:null", _NULL),
    (_StrictLoader, _MERGE, re.compile("<<\\Z")),
    (_TypedLoader, "tag:nodeplug:bool", _BOOL),
    (_TypedLoader, _NUMBER, _INT),
    (_TypedLoader, _NUMBER, _FLOAT),
):
    loader.add_implicit_resolver(tag, form, None)
_TypedLoader.add_constructor("tag:nodeplug:bool", _TypedLoader.construct_bool)
_TypedLoader.add_constructor(_NUMBER, _TypedLoader.construct_number)


def read_document(path: Path, *, typed: bool = False) -> Any:
    """Return the content of a YAML or JSON file; raise ConfigError naming file, line and column.

    Numbers and truth are text as it stands in the file, for `convert`, unless they shall be typed.
    """
    return parse_document(_read(path), path, typed=typed)


def read_documents(path: Path) -> list[Any]:
    """Return what each document of a YAML file says, typed; those that say nothing are left out.

    Raises ConfigError as `read_document` does.
    """
    data = _read(path)
    documents = _parse(data, path, _LIMITS, lambda: [*_documents(data)])
    return [each for each in documents if each is not None]


def parse_document(
    data: bytes, path: Path, limits: Limits = _LIMITS, *, typed: bool = False
) -> Any:
    """Return what YAML or JSON says; raise ConfigError naming its origin, line and column."""
    loader = _TypedLoader if typed else _StrictLoader
    return _parse(data, path, limits, lambda: loader(data, limits).get_single_data())


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LIMITS.size + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}", str(path)) from error


def _documents(data: bytes) -> Iterator[Any]:
    loader = _TypedLoader(data, _LIMITS)
    while loader.check_node():
        yield loader.construct_document(loader.get_node())


def _parse(data: bytes, path: Path, limits: Limits, load: Callable[[], T]) -> T:
    if len(data) > limits.size:
        raise ConfigError(f"{path}: is larger than {limits.size} bytes", str(path))
    try:
        return load()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{path}: line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        raise ConfigError(f"{place}: {error.problem or error.context}", place) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: is nested too deeply", str(path)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"{path}: is not YAML: {text}", str(path)) from error


def convert(
    data: Any,
    kind: type[T],
    file: Path,
    prefix: str = "",
    renumbered: Callable[[str], str] = str,
) -> T:
    """Return the data as an instance of a settings type.

    Text that stands for a number or truth is one where such a thing is wanted. Raises ConfigError
    with file, key, value and, if the file has the value there, line; `prefix` is where in the file
    the data stands, `renumbered` returns the key in the file for one in the data.
    """
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at `$")
        path = path.rstrip("`")
        said, around = _find(data, path), renumbered(f"{prefix}{path}".lstrip("."))
        if unknown := re.search(r"unknown field `(.*)`", problem):
            key = f"{around}.{unknown[1]}".lstrip(".")
            problem = "is not a known key; `nodeplug config schema` lists them"
        else:
            key = around or "(top level)"
            if not isinstance(error.__cause__, ValueError):  # a check of the type itself says all
                problem = f"{_plain(problem)}, found {_shown(said)}"
        place = f"{file}: {key}"
        at = _position(file, around, said, unknown[1] if unknown else "")
        raise ConfigError(f"{place}: {problem}{at}", place) from error
    except Exception as error:
        place = f"{file}: {prefix or '(top level)'}"
        raise ConfigError(f"{place}: cannot be understood: {error!r}", place) from error


def _position(file: Path, place: str, said: object, key: str) -> str:
    """Return where in a file a place is, or a key there, if that is what the file says there.

    What files and overrides say is merged: the same place may be another one.
    """
    try:
        loader, node = _composed(_read(file))
        found = node
        for name, index in _STEP.findall(f".{place}" if place else ""):
            node, found = _step(found, name or int(index))
        if found is None or loader.construct_document(found) != said:
            return ""
        node = _step(found, key)[0] if key else node
    except (ConfigError, yaml.YAMLError, RecursionError, UnicodeDecodeError):
        return ""
    return (
        f" (line {node.start_mark.line + 1}, column {node.start_mark.column + 1})" if node else ""
    )


@lru_cache(maxsize=1)
def _composed(data: bytes) -> tuple[_StrictLoader, yaml.Node | None]:
    """Return what a file consists of: of a large one nothing, for this is kept for its errors."""
    loader = _StrictLoader(data if len(data) <= _KEPT_SIZE else b"", _LIMITS)
    return loader, loader.get_single_node()


def _step(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node | None, yaml.Node | None]:
    """Return the key, or the entry, and its value."""
    if isinstance(node, yaml.MappingNode):
        return next((each for each in node.value if each[0].value == step), (None, None))
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step]
    return None, None


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
    if isinstance(value, str) and (_FLOAT.match(value) or _BOOL.match(value)):
        return value
    # Aliases let a small file stand for a text without end.
    text = reprlib.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."  # noqa: PLR2004 - one terminal line
