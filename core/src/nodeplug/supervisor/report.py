"""What an agent tells of itself: its present state, nothing that is past."""

import enum
from collections.abc import Mapping
from pathlib import Path

import msgspec

from nodeplug.backend import Backend
from nodeplug.pool import ResourcePool
from nodeplug.values.trouble import Trouble


class ResourceReport(msgspec.Struct, frozen=True):
    """One resource: its pool, and how it stands with the kubelet.

    `registered` counts only with a stream open. `error` is the kubelet's last refusal, or empty;
    `socket` is where the resource is served, `holder` who does so while this agent waits.
    """

    backend: str
    pool: ResourcePool
    streams: int
    registered: bool
    error: str
    socket: Path
    holder: str = ""


class State(enum.Enum):
    """How a backend is: it waits for its first look, finds devices, has failed, or is idle."""

    NEW = "no devices looked for yet"
    FINDS = ""
    FAILED = "failed"
    IDLE = "no usable configuration"


class BackendReport(msgspec.Struct, frozen=True):
    """One backend: the instance that runs, how it is, and what it raised where it has failed.

    `kept` says why it runs with its former settings instead of those it was given, or is empty.
    `left_out` says by name why things of the host are no devices though they should be.
    """

    name: str
    current: Backend | None
    state: State
    error: str = ""
    kept: str = ""
    left_out: Mapping[str, str] = {}

    @property
    def trouble(self) -> str:
        """Why it serves nothing new, or empty."""
        return f"{self.state.value}: {self.error}" if self.error else self.state.value


class AgentReport(msgspec.Struct, frozen=True):
    """All of it. `stale` is for how many seconds nobody has looked after the kubelet.

    `holds` says of each resource and device that containers may have, and that keeps something
    from being offered, for how many seconds that has been so. `ledger_trouble` is why what was
    given is not written down for other agents, or empty. `fallbacks` say what lacks something that
    it should have, and what that is. `troubles` is all that is not as it should be, but for what
    the kubelet must be asked. `standby` says that another agent of the installation serves until
    now, `released` that another agent of the installation serves from now on.
    """

    resources: tuple[ResourceReport, ...]
    backends: tuple[BackendReport, ...]
    kubelet_present: bool
    stale: float
    holds: Mapping[tuple[str, str], float] = {}
    ledger_trouble: str = ""
    fallbacks: Mapping[str, str] = {}
    troubles: tuple[Trouble, ...] = ()
    standby: bool = False
    released: bool = False
