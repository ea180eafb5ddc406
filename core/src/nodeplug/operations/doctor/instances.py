"""Agents of this node, alive and dead."""

import socket
from collections.abc import Iterator
from pathlib import Path

from nodeplug.backend import Finding
from nodeplug.host.files import FileLock
from nodeplug.kubelet.served import agents_troubles
from nodeplug.kubelet.sockets import HOME, instance_locks
from nodeplug.operations.doctor.patient import Patient, problem, warning

_CONNECT_SECONDS = 1.0
# What other checks find themselves.
_LOOKED_AT = {"BackendFailed", "LedgerNotWritable", "DevicesLeftOut"}


def instances(patient: Patient) -> Iterator[Finding]:
    """Look for instances whose sockets are dead.

    One without any socket may just be starting; it is left alone, its lock above all.
    """
    for lock in instance_locks(patient.plugin_dir / HOME):
        sockets = sorted(lock.parent.glob("*.sock"))
        if sockets and not any(map(alive, sockets)):
            yield _dead(lock, len(sockets))


async def troubles(patient: Patient) -> list[Finding]:
    """Ask the agents that run what they do not do as they should."""
    found = []
    for each in await agents_troubles(patient.plugin_dir):
        if each.kind in _LOOKED_AT:
            continue
        rule = f"an agent of this node is {'not ready' if each.blocks else 'degraded'}: {each.kind}"
        remedy = "docs/operations.md says what to do; the agent's log has more"
        told = problem if each.blocks else warning
        found.append(told(each.subject or each.kind, each.detail or each.shown, remedy, rule))
    return found


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
