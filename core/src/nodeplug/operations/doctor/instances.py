"""Agents of this node, alive and dead."""

import socket
from collections.abc import Iterator
from pathlib import Path

from nodeplug.backend import Finding
from nodeplug.host.files import FileLock
from nodeplug.kubelet.sockets import HOME, instance_locks
from nodeplug.operations.doctor.patient import Patient, problem, warning

_CONNECT_SECONDS = 1.0


def instances(patient: Patient) -> Iterator[Finding]:
    """Look for instances whose sockets are dead.

    One without any socket may just be starting; it is left alone, its lock above all.
    """
    for lock in instance_locks(patient.plugin_dir / HOME):
        sockets = sorted(lock.parent.glob("*.sock"))
        if sockets and not any(map(alive, sockets)):
            yield _dead(lock, len(sockets))


def alive(path: Path) -> bool:
    """Whether somebody listens on a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_CONNECT_SECONDS)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True


def _dead(lock: Path, sockets: int) -> Finding:
    subject, found = str(lock.parent), f"{sockets} dead sockets"
    held = FileLock(lock)
    if held.try_acquire():
        held.release()
        rule = "the next agent that starts sweeps them away"
        return warning(subject, f"an agent ended and left {found}", "start an agent", rule)
    rule = "while it holds its resources, no other instance serves them"
    return problem(subject, f"an agent lives, with {found}", "restart that agent's pod", rule)
