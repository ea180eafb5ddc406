"""The kubelet's device plugin directory, and what lies in it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from nodeplug.backend import Finding
from nodeplug.kubelet.evidence import CHECKPOINT, read_checkpoint
from nodeplug.kubelet.sockets import HOME, check_length
from nodeplug.operations.doctor.patient import Patient, problem, warning
from nodeplug.values.errors import KubeletDirectoryError

_OTHERS_WRITE = 0o002
_NOT_OWNER = 0o077


def plugin_directory(patient: Patient) -> Iterator[Finding]:
    """Look whether the directory can hold the agent's sockets."""
    folder = patient.plugin_dir
    subject = str(folder)
    yield from _length(folder)
    if not folder.is_dir():
        remedy = "start a kubelet on this node, and mount its device-plugins directory here"
        yield problem(subject, "is no directory", remedy, "the kubelet is reached through it (R1)")
    elif folder.stat().st_nlink == 0:
        rule = "it was made anew on the host, outside this mount"
        yield problem(subject, "was deleted", "restart the pod, so that it is mounted again", rule)
    else:
        yield from _writable(folder)


def _length(folder: Path) -> Iterator[Finding]:
    try:
        check_length(folder)
    except KubeletDirectoryError as error:
        text, _, remedy = str(error).removeprefix(f"{folder}: ").partition("; ")
        yield problem(str(folder), text, remedy, "a socket's path is limited by the system (R13)")


def _writable(folder: Path) -> Iterator[Finding]:
    try:
        trial = Path(tempfile.mkdtemp(prefix=".nodeplug-", dir=folder))
    except OSError as error:
        text = f"cannot be written: {error.strerror}"
        remedy = "run as root, with the directory mounted read-write"
        yield problem(str(folder), text, remedy, "the agent's sockets are made in it (R13)")
        return
    try:
        (trial / "one").touch()
        os.link(trial / "one", trial / "two")
    except OSError as error:
        text = f"has no hard links: {error.strerror}"
        rule = "each registration wants a path of its own (R15)"
        yield warning(str(folder), text, "keep it on a file system that has them", rule)
    finally:
        shutil.rmtree(trial, ignore_errors=True)


def permissions(patient: Patient) -> Iterator[Finding]:
    """Look who else may make, or connect to, the sockets."""
    folder = patient.plugin_dir
    if folder.is_dir() and folder.stat().st_mode & _OTHERS_WRITE:
        rule = "whoever can write here can pose as a device plugin"
        yield warning(str(folder), "is writable by everybody", f"chmod 0755 {folder}", rule)
    for path, mode in _own_sockets(folder):
        if mode & _NOT_OWNER:
            rule = "whoever connects can have devices allocated"
            remedy = "restart the agent, and find out who changed it"
            yield warning(str(path), f"is open to others: {mode:04o}", remedy, rule)


def _own_sockets(folder: Path) -> Iterator[tuple[Path, int]]:
    known = set()
    for path in sorted((folder / HOME).glob("*/*.sock")):
        with suppress(FileNotFoundError):  # the agent has just replaced it
            found = path.stat()
            # A socket and the link that was registered are one file.
            if found.st_ino not in known:
                known.add(found.st_ino)
                yield path, found.st_mode & 0o777


def checkpoint(patient: Patient) -> Iterator[Finding]:
    """Look whether the kubelet's record of devices in use is whole."""
    path = patient.plugin_dir / CHECKPOINT
    if path.exists() and read_checkpoint(path).records is None:
        yield problem(
            str(path),
            "cannot be read, or is broken",
            "drain the node, remove the file, restart the kubelet",
            "a kubelet that starts with a broken one takes no device for in use (R32)",
        )
