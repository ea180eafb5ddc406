"""What registers, alarms and device nodes say."""

import os
import stat
from collections.abc import Iterator
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_at, read_bytes, read_int
from nodeplug_intel_fpga.complaints import Check, Complaint
from nodeplug_intel_fpga.layouts import Layout
from nodeplug_intel_fpga.survey import Function, Part
from nodeplug_intel_fpga.tree import find

# Kernel, Documentation/ABI/testing/sysfs-platform-dfl-port: the thermal trip's power state.
_TRIPPED: Final = 6
# What a register reads when nobody answers.
ALL_ONES: Final = (1 << 64) - 1
# A register has 64 bits; what is longer is no register, and not worth more of a line.
_SHOWN: Final = 20
# PCI: what the vendor's number reads where nobody answers.
_NOBODY: Final = b"\xff\xff"


def engine_complaints(root: HostRoot, layout: Layout, engine: Part) -> Iterator[Complaint]:
    """Yield what is wrong with all ports of a card."""
    for register in layout.registers:
        if value := read_int(engine.place / register):
            check: Check = "absent" if value == ALL_ONES else "engine"
            yield Complaint(check, f"{engine.name} {register} reads {_hex(value)}")
    for pattern in layout.alarms:
        for alarm in find(engine.place, pattern):
            if read_int(alarm):
                yield Complaint("alarms", f"{engine.name} tells {alarm.name}")
    if trouble := _node_trouble(root, engine):
        yield Complaint("engineNode", trouble)


def port_complaints(root: HostRoot, port: Part) -> Iterator[Complaint]:
    """Yield what is wrong with one port, its id aside."""
    if value := read_int(port.place / "errors/errors"):
        yield Complaint("port", f"{port.name} errors/errors reads {_hex(value)}")
    if read_int(port.place / "power_state") == _TRIPPED:
        yield Complaint("alarms", f"{port.name} is throttled by the thermal trip")
    if trouble := _node_trouble(root, port):
        yield Complaint("node", trouble)


def function_complaints(root: HostRoot, function: Function) -> Iterator[Complaint]:
    """Yield what is wrong with a PCI function."""
    # A virtual function's own number reads all ones even when it is well (PCIe SR-IOV, 9.3.4.1).
    if _vendor(root, function.card) == _NOBODY:
        yield Complaint("pci", f"PCI function {function.card} does not answer")


def _hex(value: int) -> str:
    return f"{value:#x}"[:_SHOWN]


def _vendor(root: HostRoot, address: str) -> bytes:
    devpath = device_at(root, f"/sys/bus/pci/devices/{address}")
    return read_bytes(root.path(f"/sys{devpath}/config"), 2) or b""


def _node_trouble(root: HostRoot, part: Part) -> str:
    if not part.node:
        return f"the kernel names no device node of {part.name}"
    try:
        status = os.stat(root.path(part.node))  # noqa: PTH116 - see stat(2)
    except OSError:
        return f"{part.node} is missing"
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == part.number:
        return ""
    return f"{part.node} is not the node of {part.name}"
