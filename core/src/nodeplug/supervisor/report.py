"""What an agent tells of itself: its present state, nothing that is past."""

from dataclasses import dataclass
from pathlib import Path

from nodeplug.backend import Backend
from nodeplug.pool import ResourcePool


@dataclass(frozen=True, slots=True)
class ResourceReport:
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


@dataclass(frozen=True, slots=True)
class BackendReport:
    """One backend: the instance that runs, and why it serves nothing, or empty."""

    name: str
    current: Backend | None
    trouble: str


@dataclass(frozen=True, slots=True)
class AgentReport:
    """All of it. `stale` is for how many seconds nobody has looked after the kubelet."""

    resources: tuple[ResourceReport, ...]
    backends: tuple[BackendReport, ...]
    kubelet_present: bool
    stale: float
