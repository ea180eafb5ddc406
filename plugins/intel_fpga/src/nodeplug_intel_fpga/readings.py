"""Temperature and power of cards."""

from pathlib import Path
from typing import NamedTuple

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import read_int
from nodeplug_intel_fpga.survey import survey
from nodeplug_intel_fpga.tree import find


class Reading(NamedTuple):
    """Degrees Celsius and watts; None for what a card does not tell."""

    temperature: float | None
    power: float | None


def readings(root: HostRoot) -> dict[str, Reading]:
    """Return what the cards tell, by their addresses. Blocks."""
    return {
        each.address: Reading(
            _read(each.engine.place, *each.layout.temperature),
            _read(each.engine.place, *each.layout.power),
        )
        for each in survey(root).functions
        if each.engine
    }


def _read(place: Path, pattern: str, factor: float) -> float | None:
    values = (read_int(file) for file in find(place, pattern))
    value = next((value for value in values if value is not None), None)
    return None if value is None else value * factor
