"""What can be wrong with a port."""

from typing import Literal, NamedTuple

Check = Literal[
    "absent", "interface", "afu", "engine", "port", "alarms", "node", "engineNode", "pci"
]


class Complaint(NamedTuple):
    """Something that is wrong with a port, by the check that found it."""

    check: Check
    text: str
