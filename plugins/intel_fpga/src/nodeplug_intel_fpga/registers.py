"""What a PCI function says of itself: everything that may wait for the card is read here.

What waits for what is in docs/hardware-reads.md.
"""

import errno
from pathlib import Path
from typing import Final, NamedTuple

from nodeplug.host.pci import PciDevice, pci_device
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import attribute, link_name, read_int, read_text
from nodeplug_intel_fpga.complaints import Complaint
from nodeplug_intel_fpga.gauges import Gauges, gauges_of
from nodeplug_intel_fpga.health import (
    ALL_ONES,
    engine_complaints,
    function_complaints,
    port_complaints,
)
from nodeplug_intel_fpga.ids import good_id, reads_ones, why_bad
from nodeplug_intel_fpga.layouts import Layout
from nodeplug_intel_fpga.survey import Function, Part, part_at
from nodeplug_intel_fpga.tree import find

# Kernel, drivers/fpga/dfl.h: a card has at most so many ports.
_PORTS_LIMIT: Final = 4
_PROGRAM_IT: Final = "program the port; if it does not answer then, reset the card"


class Engine(NamedTuple):
    """A management engine and what it says.

    `interfaces` are texts as they were read, None for what cannot be. `bitstream` is empty where
    it is not known. `dead` says that registers read all ones.
    """

    part: Part
    interfaces: tuple[str | None, ...]
    bitstream: str
    complaints: tuple[Complaint, ...]
    dead: bool
    gauges: Gauges


class Port(NamedTuple):
    """A port and what it says; `number` is -1, `afu` empty where no good one could be read.

    `dead` says that registers of the port itself read all ones, `doubtful` that so does the AFU.
    """

    part: Part
    number: int
    afu: str
    complaints: tuple[Complaint, ...]
    dead: bool
    doubtful: bool


class Reading(NamedTuple):
    """All that was read of a PCI function; `dead` says that its configuration reads all ones."""

    pci: PciDevice | None
    engine: Engine | None
    ports: tuple[Port, ...]
    complaints: tuple[Complaint, ...]

    @property
    def dead(self) -> bool:
        """Whether the card does not answer: what it says now counts for nothing."""
        return bool(self.complaints) or (self.engine is not None and self.engine.dead)


def read_function(root: HostRoot, function: Function) -> Reading:
    """Read it. Blocks, while a port of the card is programmed for as long as that takes."""
    # The engine first: while a port is programmed it lets nobody read, and no port seems broken.
    engine = _engine(root, function.layout, function.engine) if function.engine else None
    return Reading(
        pci_device(root, function.address),
        engine,
        tuple(_port(root, place) for place in function.ports),
        tuple(function_complaints(root, function)),
    )


def _engine(root: HostRoot, layout: Layout, place: Path) -> Engine:
    part = part_at(place)
    complaints = tuple(engine_complaints(root, layout, part))
    bitstream = read_int(place / "bitstream_id")
    known = bitstream is not None and 0 <= bitstream < ALL_ONES
    ones = bitstream == ALL_ONES
    if ones:
        text = f"{part.name} bitstream_id reads all ones: the card does not answer"
        complaints = (Complaint("absent", text, "reset the card"), *complaints)
    if bitstream is None and (unbound := _unbound(part)):
        complaints = (unbound, *complaints)
    return Engine(
        part,
        tuple(read_text(file) for file in find(place, layout.interfaces)),
        f"{bitstream:x}" if known else "",
        complaints,
        ones or any(each.check == "absent" for each in complaints if known),
        gauges_of(layout, place),
    )


def _port(root: HostRoot, place: Path) -> Port:
    part = part_at(place)
    number = read_int(place / "id")
    if number is None and (unbound := _unbound(part)):
        return Port(part, -1, "", (unbound,), dead=False, doubtful=False)
    text, trouble = read_afu(part)
    dead = read_int(place / "errors/errors") == ALL_ONES
    return Port(
        part,
        -1 if number is None or not 0 <= number < _PORTS_LIMIT else number,
        good_id(text),
        (*([trouble] if trouble else []), *port_complaints(root, part)),
        dead=dead,
        doubtful=dead or reads_ones(text),
    )


def read_afu(port: Part) -> tuple[str | None, Complaint | None]:
    """Return the AFU id of a port as it reads, and what is wrong with it."""
    try:
        text = attribute(port.place / "afu_id")
    except OSError as error:
        return None, _unreadable(port, error)
    if good_id(text):
        return text, None
    return text, Complaint("afu", f"AFU id {why_bad(text)}", _PROGRAM_IT)


def _unreadable(port: Part, error: OSError) -> Complaint:
    if error.errno == errno.EBUSY:  # kernel, drivers/fpga/dfl-afu-main.c, afu_id_show
        return Complaint(
            "reset",
            f"{port.name} is in reset, as while it is programmed and after that failed",
            "if nobody programs it: unbind its card from dfl-pci and bind it again",
        )
    if error.errno == errno.ENOENT:
        remedy = "see the kernel's log for why the driver found no AFU in the port"
        return Complaint("afu", "AFU id is not shown by the driver", remedy)
    remedy = "see the kernel's log; reset the card"
    return Complaint("afu", f"AFU id cannot be read: {error.strerror}", remedy)


def _unbound(part: Part) -> Complaint | None:
    """Return the complaint of a part without driver (Linux 6.12: a port that was released)."""
    if link_name(part.place / "driver") is not None:
        return None
    driver = part.name.partition(".")[0]
    remedy = f"write {part.name} to /sys/bus/platform/drivers/{driver}/bind"
    return Complaint("absent", f"no driver is bound to {part.name}", remedy)
