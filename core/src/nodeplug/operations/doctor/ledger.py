"""The folder in which all agents of the node note what they have given to containers."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from nodeplug.backend import Finding
from nodeplug.operations.doctor.cdi import unwritable
from nodeplug.operations.doctor.mounts import Mount, covering, read_mounts
from nodeplug.operations.doctor.patient import Patient, problem, warning

_RULE = "without it, another agent may give the same hardware under another name"
_OTHERS_WRITE = 0o022


def ledger(patient: Patient) -> Iterator[Finding]:
    """Look whether agents can note there what they give, and whether all see the same."""
    setting = patient.agent.host.ledger_dir
    folder = Path(setting)
    if not setting or (not os.path.lexists(folder) and not unwritable(folder)):
        return  # an agent makes it
    if not folder.is_dir():
        text = "is no directory" if os.path.lexists(folder) else "is not there, nor can it be made"
        remedy = f"mount the host's {folder} there, read-write"
        yield problem(str(folder), text, remedy, _RULE)
    elif folder.stat().st_nlink == 0:
        yield problem(str(folder), "was deleted", "restart the pod, so that it is mounted again")
    else:
        yield from _place(folder, covering(read_mounts(patient.process), folder.resolve()))
        yield from _rights(folder)


def _place(folder: Path, mount: Mount | None) -> Iterator[Finding]:
    if mount is None or mount.kind == "tmpfs":
        return
    if mount.point == Path("/") and mount.kind == "overlay":
        remedy = f"mount the host's {folder} there, read-write"
        yield problem(str(folder), "is the container's own", remedy, _RULE)
    else:
        remedy = "mount a folder below the host's /run, or set host.ledgerDir"
        rule = "allocations wait for the disk, and what is said there outlives the node's boot"
        yield warning(str(folder), f"is on {mount.kind}, not on a tmpfs", remedy, rule)


def _rights(folder: Path) -> Iterator[Finding]:
    facts = folder.stat()
    if facts.st_uid != os.geteuid():
        text = f"belongs to user {facts.st_uid}, not to {os.geteuid()}"
        yield problem(str(folder), text, "run all agents of the node as one user, root", _RULE)
    elif facts.st_mode & _OTHERS_WRITE:
        rule = "whoever can write there can stop allocations"
        yield warning(str(folder), "is writable by others", f"chmod 0755 {folder}", rule)
    try:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"1")
    except OSError as error:
        text = f"cannot be written: {error.strerror}"
        remedy = "mount it read-write, and see whether it is full"
        yield problem(str(folder), text, remedy, _RULE)
