"""Loads the bitstream of a resource into a port, if it is not in it."""

import errno
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug.values.errors import AllocationRefusedError, InvalidValueError
from nodeplug_intel_fpga.ids import good_id
from nodeplug_intel_fpga.programming.bitstream import Bitstream, wanted
from nodeplug_intel_fpga.programming.ioctls import program
from nodeplug_intel_fpga.registers import read_afu
from nodeplug_intel_fpga.settings import ProgrammedSettings
from nodeplug_intel_fpga.sightings import Target, target

_log = logging.getLogger("nodeplug.intel_fpga")

# One for each engine, by PCI function, as long as the process lives: a programming that was given
# up goes on in its thread.
_LOCKS: Final[dict[str, Lock]] = {}


def load(root: HostRoot, ports: Sequence[str], entry: ProgrammedSettings, until: float) -> None:
    """Make the AFU of a resource be in all these ports, each "address/name". Blocks for seconds.

    Raise AllocationRefusedError for what cannot be done, or cannot begin before the monotonic time
    `until`.
    """
    for port in ports:
        if _target(root, port, entry).afu != entry.afu:
            _load(root, port, entry, until)


def _load(root: HostRoot, port: str, entry: ProgrammedSettings, until: float) -> None:
    lock = _LOCKS.setdefault(port.partition("/")[0], Lock())
    if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
        raise AllocationRefusedError(f"the engine of {port} is busy with another port")
    try:
        found = _target(root, port, entry)
        if found.afu != entry.afu:
            _program(root, found, _bitstream(root, entry))
            _check_loaded(found, entry)
            facts = {"port": port, "resource": entry.name, "afu": entry.afu}
            _log.info("port programmed", extra={"nodeplug": facts})
    finally:
        lock.release()


def _target(root: HostRoot, port: str, entry: ProgrammedSettings) -> Target:
    found = target(root, port)
    if found is None:
        raise AllocationRefusedError(f"{port} is not there, or has no engine")
    if found.interface != entry.interface:
        raise AllocationRefusedError(
            f"{port} has the interface {found.interface or 'unknown'}, not {entry.interface}"
        )
    return found


def _bitstream(root: HostRoot, entry: ProgrammedSettings) -> Bitstream:
    try:
        return wanted(root.find(entry.bitstream), entry)
    except InvalidValueError as error:
        raise AllocationRefusedError(f"{entry.bitstream} {error}") from error
    except OSError as error:
        raise AllocationRefusedError(f"{entry.bitstream}: {error.strerror}") from error


def _program(root: HostRoot, found: Target, bitstream: Bitstream) -> None:
    # Exclusive: the driver refuses if anybody has the port open, and lets nobody in meanwhile.
    with (
        _opened(root.path(found.port.node), os.O_EXCL),
        _opened(root.path(found.engine.node), 0) as engine,
    ):
        try:
            status = program(engine, found.driver, found.number, bitstream.image)
        except OSError as error:
            reason = f"programming {found.port.name} failed: {error.strerror}"
            raise AllocationRefusedError(reason) from error
    if status:
        raise AllocationRefusedError(f"programming {found.port.name} failed: status {status:#x}")


@contextmanager
def _opened(node: Path, flags: int) -> Iterator[int]:
    try:
        fd = os.open(node, os.O_RDWR | os.O_CLOEXEC | flags)
    except OSError as error:
        busy = error.errno == errno.EBUSY
        reason = "is in use" if busy else f"cannot be opened: {error.strerror}"
        raise AllocationRefusedError(f"{node.name} {reason}") from error
    try:
        yield fd
    finally:
        os.close(fd)


def _check_loaded(found: Target, entry: ProgrammedSettings) -> None:
    text, trouble = read_afu(found.port)
    if good_id(text) != entry.afu:
        what = trouble.text if trouble else f"its AFU id is {good_id(text)}"
        raise AllocationRefusedError(f"{found.port.name} was programmed, but {what}")
