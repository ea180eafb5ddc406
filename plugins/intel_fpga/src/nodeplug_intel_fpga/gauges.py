"""Temperature and power of cards."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from nodeplug.host.reads import Question, Reads
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import read_int
from nodeplug_intel_fpga.health import ALL_ONES
from nodeplug_intel_fpga.layouts import Layout
from nodeplug_intel_fpga.survey import survey
from nodeplug_intel_fpga.tree import find


class Gauges(NamedTuple):
    """Degrees Celsius and watts; None for what a card does not tell."""

    temperature: float | None
    power: float | None


NO_GAUGES: Final = Gauges(None, None)


def gauges(root: HostRoot, reads: Reads) -> Mapping[str, Gauges]:
    """Return what the cards tell now, by their addresses; nothing of those that do not answer."""
    with reads:
        answers = reads.ask(
            {
                each.address: Question(
                    each.address, "its sensors", partial(gauges_of, each.layout, each.engine)
                )
                for each in survey(root).functions
                if each.engine
            }
        )
    return {a: found for a, each in answers.items() if each.is_new and (found := each.get())}


def gauges_of(layout: Layout, engine: Path) -> Gauges:
    """Return what an engine tells; nothing of one whose registers all read ones. Blocks."""
    if read_int(engine / "bitstream_id") == ALL_ONES:
        return NO_GAUGES
    return Gauges(_read(engine, *layout.temperature), _read(engine, *layout.power))


def _read(place: Path, pattern: str, factor: float) -> float | None:
    values = (read_int(file) for file in find(place, pattern))
    value = next((value for value in values if value is not None), None)
    return None if value is None else value * factor
