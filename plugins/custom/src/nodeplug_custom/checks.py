"""Checks of single values in the configuration; errors are ValueError, their text is one line."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVarTuple

from nodeplug.values.names import check_env_name
from nodeplug_custom.templates import ANY_FIELDS, FIELDS, fields_of, fill

Values = TypeVarTuple("Values")

# Stands for any device when a template is tried out.
_PATHS = dict.fromkeys(("path", "hostPath", "realPath", "nodes"), "/path")
_SAMPLE = dict.fromkeys(ANY_FIELDS, "text") | _PATHS

_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")
_LABEL_LIMIT = 63
_LABELS_LIMIT = 8
# What devices and selectors have of themselves.
_OWN_FACTS = frozenset({"id", "parent", "numa", "type", "kind", "hostPath", "realPath"}) | {
    *("address", "port", "serial", "vendor", "product", "bus", "device")
}


def checked(key: str, check: Callable[[*Values], object], *values: *Values) -> None:
    """Check values; an error begins with the key."""
    try:
        check(*values)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def check_place(template: str, allowed: frozenset[str] = FIELDS) -> None:
    """Refuse a template that does not give absolute paths without '..'."""
    fields_of(template, allowed)
    path = fill(template, _SAMPLE)
    if not path.startswith("/") or ".." in path.split("/") or not path.isprintable():
        raise ValueError(f"{template!r} must be absolute, printable and without '..'")


def check_attributes(names: Iterable[str]) -> None:
    """Refuse what is no path below a device's folder."""
    for name in names:
        if not name or name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"attribute {name!r} must be a relative path without '..'")


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuse labels that a device cannot bear beside what it is."""
    if len(labels) > _LABELS_LIMIT:
        raise ValueError(f"more than {_LABELS_LIMIT}")
    for name, value in labels.items():
        if name in _OWN_FACTS or not _LABEL.fullmatch(name):
            raise ValueError(f"{name!r} must be a word, and none that devices have of themselves")
        if len(value.encode()) > _LABEL_LIMIT or not value.isprintable():
            raise ValueError(f"{name} must be printable, at most {_LABEL_LIMIT} bytes")


def check_node_permissions(permissions: str) -> None:
    """Refuse what a container cannot be allowed to do with a device node."""
    letters = set(permissions)
    if not letters or letters - set("rwm") or len(letters) < len(permissions):
        raise ValueError(f"{permissions!r} must be one or more of 'r', 'w' and 'm', each once")


def check_mount_permissions(permissions: str) -> None:
    """Refuse what a bind mount cannot grant."""
    if permissions not in {"r", "rw"}:
        raise ValueError(f"{permissions!r} must be 'r' or 'rw' for what is no device node")


def check_env(name: str, template: str, allowed: frozenset[str] = FIELDS) -> None:
    """Refuse what cannot be an environment variable."""
    check_env_name(name)
    check_text(name, template, allowed)


def check_text(name: str, template: str, allowed: frozenset[str] = FIELDS) -> None:
    """Refuse a name or a text that no annotation can have."""
    if not name or not name.isprintable():
        raise ValueError(f"name {name!r} must be printable and not empty")
    if "\0" in template:
        raise ValueError(f"value of {name} holds a zero byte")
    fields_of(template, allowed)


def check_distinct(key: str, values: Sequence[str]) -> None:
    """Refuse a value that two entries have."""
    for position, value in enumerate(values):
        if value in values[:position]:
            raise ValueError(f"{key} {value!r} is given twice; keep one")
