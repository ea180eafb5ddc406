"""What is wrong with a node's FPGA cards, for `nodeplug doctor`."""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from nodeplug.backend import Finding
from nodeplug.host.root import HostRoot
from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.devices import complaints
from nodeplug_intel_fpga.explain import verdicts
from nodeplug_intel_fpga.look import first_look
from nodeplug_intel_fpga.programming.bitstream import wanted
from nodeplug_intel_fpga.settings import FpgaSettings, ProgrammedSettings
from nodeplug_intel_fpga.strangers import has_driver, strangers

_LOOK_THERE: Final = "see devices --explain and the kernel's log"


def checks(settings: FpgaSettings, root: HostRoot) -> Sequence[Finding]:
    """Return what an operator should know. Blocks: it reads the bitstreams."""
    return [
        *_drivers(root),
        *_ports(settings, root),
        *(each for entry in settings.programming for each in _bitstream(entry, root)),
        *_state(settings, root),
    ]


def _drivers(root: HostRoot) -> Iterator[Finding]:
    for function in strangers(root):
        yield Finding(
            "warning",
            f"PCI function {function.address}",
            has_driver(function),
            "load the kernel's dfl-pci, if the card is to be served",
        )


def _ports(settings: FpgaSettings, root: HostRoot) -> Iterator[Finding]:
    view = first_look(root, settings)
    told = verdicts(view)
    for name in sorted({each.name for each in settings.programming} - {v.resource for v in told}):
        remedy = "correct cards and interface of its entry in programming"
        yield Finding("warning", name, "no port belongs to it", remedy)
    for verdict in told:
        if not verdict.chosen:
            text = f"is not served: {verdict.reason}"
            yield Finding("warning", verdict.device, text, _LOOK_THERE)
        elif reason := view.inventory.devices[verdict.device].reason:
            found = complaints(view.shares[verdict.device], settings.health.ignore)
            remedies = dict.fromkeys(each.remedy for each in found if each.remedy)
            text = f"is unhealthy: {reason}"
            yield Finding("problem", verdict.device, text, "; ".join(remedies) or _LOOK_THERE)


def _bitstream(entry: ProgrammedSettings, root: HostRoot) -> Iterator[Finding]:
    try:
        wanted(root.find(entry.bitstream), entry)
    except (InvalidValueError, OSError) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        remedy = f"correct the file or the entry {entry.name} in programming"
        yield Finding("problem", entry.bitstream, str(text), remedy)


def _state(settings: FpgaSettings, root: HostRoot) -> Iterator[Finding]:
    folder = root.find(settings.state_dir)
    nearest = next((each for each in (folder, *folder.parents) if each.exists()), folder)
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(
            "warning",
            settings.state_dir,
            "cannot be written",
            "mount it, or name another directory as stateDir",
            "a card that is sick at a start is not served, for its resource is not known",
        )
