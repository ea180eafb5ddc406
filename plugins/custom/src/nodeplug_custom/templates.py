"""Texts in the configuration with fields that each device fills in."""

from collections.abc import Mapping
from string import Formatter
from typing import Final

# What a device's own container path may be made of; all else may name that path too.
PLACE_FIELDS: Final = frozenset({"id", "name", "hostPath", "realPath"})
FIELDS: Final = PLACE_FIELDS | {"path"}
# What hardware has to say; what does not apply to a device is empty. `node` is the node's own path.
HARDWARE_FIELDS: Final = frozenset(
    {
        "id",
        "name",
        "address",
        "bus",
        "device",
        "port",
        "serial",
        "vendor",
        "product",
        "nodes",
        "node",
    }
)
ANY_FIELDS: Final = FIELDS | HARDWARE_FIELDS


def fields_of(text: str, allowed: frozenset[str] = FIELDS) -> frozenset[str]:
    """Return the fields that a text names; raise ValueError for one that is not allowed.

    Fields are plain names in braces; a brace that is meant as such is written twice.
    """
    found: set[str] = set()
    for _, field, form, conversion in _parse(text):
        if field is None:
            continue
        if field not in allowed or form or conversion:
            known = ", ".join(f"{{{name}}}" for name in sorted(allowed))
            raise ValueError(
                f"{text!r} names an unknown field {{{field}}}; known are {known}, "
                "and a brace itself is written twice"
            )
        found.add(field)
    return frozenset(found)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its fields replaced; the text has passed `fields_of`."""
    return text.format_map(values)


def _parse(text: str) -> list[tuple[str, str | None, str | None, str | None]]:
    try:
        return list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"{text!r} has a single brace; write it twice, or name a field") from error
