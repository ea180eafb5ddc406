"""The base of every type that is read from a configuration file."""

import msgspec


class Section(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"
):
    """A part of a configuration: unknown keys are errors, keys are written in camelCase."""
