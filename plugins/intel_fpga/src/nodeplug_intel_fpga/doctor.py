"""What is wrong with a node's FPGA cards, for `nodeplug doctor`."""

import os
from collections.abc import Iterator, Sequence
from typing import Final

from nodeplug.backend import Finding
from nodeplug.host.pci import PciDevice, pci_devices
from nodeplug.host.root import HostRoot
from nodeplug.values.errors import InvalidValueError
from nodeplug_intel_fpga.explain import verdicts
from nodeplug_intel_fpga.layouts import LAYOUTS
from nodeplug_intel_fpga.programming.bitstream import wanted
from nodeplug_intel_fpga.settings import FpgaSettings, ProgrammedSettings

# PCI, processing accelerators: the class of all these cards; others have it too.
_CLASS: Final = "120000"
_VENDOR: Final = "8086"


def checks(settings: FpgaSettings, root: HostRoot) -> Sequence[Finding]:
    """Return what an operator should know. Blocks: it reads the bitstreams."""
    return [
        *_drivers(root),
        *_ports(settings, root),
        *(each for entry in settings.programming for each in _bitstream(entry, root)),
        *_state(settings, root),
    ]


def _drivers(root: HostRoot) -> Iterator[Finding]:
    for function in pci_devices(root):
        ours = function.vendor == _VENDOR and function.device_class == _CLASS
        if ours and function.driver not in {layout.driver for layout in LAYOUTS}:
            yield _without_driver(function)


def _without_driver(function: PciDevice) -> Finding:
    return Finding(
        "warning",
        f"PCI function {function.address}",
        f"has {f'the driver {function.driver}' if function.driver else 'no driver'}",
        "load the kernel's dfl-pci, if the card is to be served",
    )


def _ports(settings: FpgaSettings, root: HostRoot) -> Iterator[Finding]:
    told = verdicts(settings, root)
    for name in sorted({each.name for each in settings.programming} - {v.resource for v in told}):
        remedy = "correct cards and interface of its entry in programming"
        yield Finding("warning", name, "no port belongs to it", remedy)
    for verdict in told:
        where = "see devices --explain and the kernel's log"
        if not verdict.chosen:
            yield Finding("warning", verdict.device, f"is not served: {verdict.reason}", where)
        elif "; unhealthy: " in verdict.reason:
            reason = verdict.reason.partition("; ")[2]
            yield Finding("problem", verdict.device, f"is {reason}", where)


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
