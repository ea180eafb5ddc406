"""What can be wrong with a port."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

Check = Literal[
    "absent",
    "silent",
    "reset",
    "interface",
    "afu",
    "engine",
    "port",
    "alarms",
    "node",
    "engineNode",
    "pci",
]


class Complaint(NamedTuple):
    """Something that is wrong with a port, by the check that found it, and what helps."""

    check: Check
    text: str
    remedy: str = ""


_WHY_UNKNOWN: Final = frozenset({"absent", "silent", "reset", "interface", "afu"})


def left_out(reason: str, complaints: Iterable[Complaint]) -> str:
    """Return why a port is no device: the reason, and what may be the cause."""
    return "; ".join([reason, *(each.text for each in complaints if each.check in _WHY_UNKNOWN)])
