"""What a backend tells people who look at a node."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec


class Presence(msgspec.Struct, frozen=True):
    """Whether a backend's hardware or library is on this host, and what was looked at."""

    present: bool
    detail: str


class Verdict(msgspec.Struct, frozen=True):
    """Whether a device of the host is served, and why: `nodeplug devices --explain`.

    `device` is its id, or its address where it has no id. `resource` is the backend's name of the
    resource that it was held against, or empty; `reason` is one line for the operator.
    """

    device: str
    resource: str
    chosen: bool
    reason: str


class Finding(msgspec.Struct, frozen=True):
    """Something on the node that an operator should know: `nodeplug doctor`.

    `subject` is what was looked at, `finding` what is wrong with it, `remedy` what to do. `rule`
    says why that matters, or is empty where the finding says it.
    """

    severity: Literal["problem", "warning"]
    subject: str
    finding: str
    remedy: str
    rule: str = ""


class Command(msgspec.Struct, frozen=True):
    """A command that a backend adds to the command line, `nodeplug GROUP NAME ARGUMENT...`.

    `run` gets the arguments as text and returns what is printed, as a table or as JSON. It raises
    InvalidValueError or OSError for what it cannot do: one line, exit code 1.
    """

    group: str
    name: str
    summary: str
    arguments: Sequence[str]
    run: Callable[[Sequence[str]], Mapping[str, object]]
