"""What an agent tells of itself: its present state, nothing that is past."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from nodeplug.backend import Backend
from nodeplug.pool import ResourcePool


class ResourceReport(msgspec.Struct, frozen=True):
    """One resource: its pool, and how it stands with the kubelet.

    `registered` counts only with a stream open. `error` is the kubelet's last refusal, or empty;
    `socket` is where the resource is served.
    """

    backend: str
    pool: ResourcePool
    streams: int
    registered: bool
    error: str
    socket: Path


class BackendReport(msgspec.Struct, frozen=True):
    """One backend: the instance that runs, and why it serves nothing, or empty.

    `left_out` says by name why things of the host are no devices though they should be.
    """

    name: str
    current: Backend | None
    trouble: str
    left_out: Mapping[str, str] = {}


class AgentReport(msgspec.Struct, frozen=True):
    """All of it. `stale` is for how many seconds nobody has looked after the kubelet.

    `holds` says of each resource and device that containers may have, and that keeps something
    from being offered, for how many seconds that has been so. `ledger_trouble` is why what was
    given is not written down for other agents, or empty. `fallbacks` say what lacks something that
    it should have, and what that is.
    """

    resources: tuple[ResourceReport, ...]
    backends: tuple[BackendReport, ...]
    kubelet_present: bool
    stale: float
    holds: Mapping[tuple[str, str], float] = {}
    ledger_trouble: str = ""
    fallbacks: Mapping[str, str] = {}
