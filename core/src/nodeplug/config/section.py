"""One backend's section: settings, or what is wrong with it and what of it is right."""

from collections.abc import Callable, Sequence
from operator import methodcaller
from pathlib import Path
from typing import Any

from nodeplug.backend import BackendSpec
from nodeplug.config.document import convert
from nodeplug.values.errors import BrokenSectionError, ConfigError


def read_section(
    section: Any, spec: BackendSpec, file: Path, refused: Sequence[ConfigError] = ()
) -> Any:
    """Return the settings of a backend, or the error that stands for them.

    `refused` is what was left out of the section already.
    """
    data = {} if section is None else section
    try:
        settings = _convert(data, spec, file)
    except ConfigError as error:
        return _without_wrong_entries(data, spec, file, [*refused, error])
    return BrokenSectionError(refused, settings) if refused else settings


def _without_wrong_entries(
    section: Any, spec: BackendSpec, file: Path, errors: Sequence[ConfigError]
) -> BrokenSectionError:
    entries = section.get(spec.entries) if isinstance(section, dict) else None
    if not isinstance(entries, list):
        return BrokenSectionError(errors)
    kept: list[Any] = []
    wrong: list[ConfigError] = []
    try:
        settings = _convert({**section, spec.entries: kept}, spec, file)
    except ConfigError as error:
        return BrokenSectionError([*errors[:-1], error])
    for number, entry in enumerate(entries):
        tried, true = f"{spec.entries}[{len(kept)}]", f"{spec.entries}[{number}]"
        renumbered = methodcaller("replace", tried, true, 1)
        try:
            settings = _convert({**section, spec.entries: [*kept, entry]}, spec, file, renumbered)
            kept.append(entry)
        except ConfigError as error:
            wrong.append(error)
    return BrokenSectionError([*errors[:-1], *wrong], settings if kept else None)


def _convert(
    section: Any, spec: BackendSpec, file: Path, renumbered: Callable[[str], str] = str
) -> Any:
    return convert(section, spec.settings, file, f"backends.{spec.name}", renumbered)
