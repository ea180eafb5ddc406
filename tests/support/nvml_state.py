"""The state of the stand-in driver library, as `nvml/standin.h` lays it out."""

from __future__ import annotations

import ctypes
import mmap
import struct
from ctypes import c_char, c_uint8, c_uint32, c_uint64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

GPUS = 16
FAULTS = 16
NO_INSTANCE = 0xFFFFFFFF
XID = 0x8
DOUBLE_BIT = 0x2
LOST = 15
NOT_LOADED = 9
CRASH = 2

_COUNTERS = ("present", "instance", "compute_instance", "multiprocessors")
_SLICE_SIZES = ("gpu_slices", "compute_slices")


class SliceState(ctypes.Structure):
    _fields_ = (
        ("uuid", c_char * 96),
        ("name", c_char * 96),
        *((name, c_uint32) for name in (*_COUNTERS, *_SLICE_SIZES)),
        ("memory_mb", c_uint64),
    )


class GpuState(ctypes.Structure):
    _fields_ = (
        ("uuid", c_char * 96),
        ("name", c_char * 96),
        *((name, c_uint32) for name in ("present", "error", "minor", "bus")),
        *((name, c_uint32) for name in ("major_capability", "minor_capability", "mig")),
        ("remapped", c_uint32 * 4),
        *((name, c_uint32) for name in ("retired_pending", "recovery_action", "eventless")),
        ("link_kinds", c_uint32 * 18),
        ("link_buses", c_uint32 * 18),
        *((name, c_uint32) for name in ("fabric_state", "clique")),
        ("cluster", c_uint8 * 16),
        *((name, c_uint32) for name in ("temperature", "power_mw", "load", "padding")),
        *((name, c_uint64) for name in ("memory", "used", "uncorrectable")),
        ("slices", SliceState * 8),
    )


class FaultState(ctypes.Structure):
    _fields_ = (
        ("function", c_char * 64),
        *((name, c_uint32) for name in ("gpu", "error", "hang")),
    )


class NodeState(ctypes.Structure):
    _fields_ = (
        *((name, c_uint32) for name in ("init_error", "driver_error", "hang", "hanging")),
        *((name, c_uint32) for name in ("scan_at_init", "cuda", "users", "wait_error")),
        *((name, c_uint64) for name in ("event_returned_ns", "calls")),
        ("driver", c_char * 96),
        ("gpus", GpuState * GPUS),
        ("faults", FaultState * FAULTS),
    )


def share(file: Path) -> Any:
    """Make the file and return the state in it, shared with every process that has it."""
    with file.open("w+b") as opened:
        opened.truncate(ctypes.sizeof(NodeState))
        return NodeState.from_buffer(mmap.mmap(opened.fileno(), ctypes.sizeof(NodeState)))


def event(gpu: int, kind: int, data: int, instance: int, compute_instance: int) -> bytes:
    return struct.pack("=4I2Q", gpu, instance, compute_instance, 0, kind, data)
