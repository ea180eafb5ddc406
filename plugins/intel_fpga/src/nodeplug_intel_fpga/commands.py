"""`nodeplug fpga info FILE`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from nodeplug.backend import Command
from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.ids import af_resource, region_resource


def info(arguments: Sequence[str]) -> Mapping[str, object]:
    """Return what a bitstream is for, and what settings need to know of it."""
    from nodeplug_intel_fpga.programming.bitstream import (  # noqa: PLC0415 - not for a daemon
        checksum,
        parse,
        read,
    )

    (file,) = arguments
    try:
        data = read(Path(file))
        found = parse(data)
    except InvalidValueError as error:
        raise InvalidValueError(f"{file} {error}") from error
    return {
        "format": found.kind,
        "interface": found.interface,
        "afu": found.afu,
        "sha256": checksum(data),
        "bytes": len(data),
        "image bytes": len(found.image),
        "resource in mode af": af_resource(found.interface, found.afu),
        "resource in mode region": region_resource(found.interface),
    }


COMMANDS: Final = (Command("fpga", "info", "Show what a bitstream is for.", ["FILE"], info),)
