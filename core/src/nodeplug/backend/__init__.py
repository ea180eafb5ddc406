"""The contract between core and a vendor: what a backend is and what it may offer besides."""

from nodeplug.backend.inspection import Command, Finding, Presence, Verdict
from nodeplug.backend.omissions import Omissions
from nodeplug.backend.privileges import ClusterRight, HostMount, Privilege
from nodeplug.backend.protocols import (
    Backend,
    HostFile,
    HostFiles,
    Labels,
    Measurement,
    Offered,
    Preparer,
    Quantity,
    Telemetry,
)
from nodeplug.backend.simulator import Simulator
from nodeplug.backend.spec import (
    ENTRY_POINT_GROUP,
    METRICS_PORT,
    BackendSpec,
    Hooks,
    Translation,
    hookimpl,
)

__all__ = [
    "ENTRY_POINT_GROUP",
    "METRICS_PORT",
    "Backend",
    "BackendSpec",
    "ClusterRight",
    "Command",
    "Finding",
    "Hooks",
    "HostFile",
    "HostFiles",
    "HostMount",
    "Labels",
    "Measurement",
    "Offered",
    "Omissions",
    "Preparer",
    "Presence",
    "Privilege",
    "Quantity",
    "Simulator",
    "Telemetry",
    "Translation",
    "Verdict",
    "hookimpl",
]
