"""What can be wrong with a port."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

Check = Literal[
    "absent", "interface", "afu", "engine", "port", "alarms", "node", "engineNode", "pci"
]


class Complaint(NamedTuple):
    """Something that is wrong with a port, by the check that found it."""

    check: Check
    text: str


_OF_IDS: Final = frozenset({"interface", "afu"})


def left_out(reason: str, complaints: Iterable[Complaint]) -> str:
    """Return why a port is no device: the reason, and what is wrong with its ids."""
    return "; ".join([reason, *(each.text for each in complaints if each.check in _OF_IDS)])
