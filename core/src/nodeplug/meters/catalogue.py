"""All that is counted as it happens. What can be read off the agent's state is not here."""

from typing import Final

from nodeplug.meters.family import Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0)

ALLOCATIONS: Final = Counter(
    "nodeplug_allocations", "Containers that were given devices.", ("resource",)
)
REFUSALS: Final = Counter(
    "nodeplug_allocation_refusals",
    "Containers that were refused devices, by the status code of the answer.",
    ("resource", "code"),
)
ALLOCATE_SECONDS: Final = Histogram(
    "nodeplug_allocate_duration_seconds",
    "How long the answer to an Allocate call took.",
    _SECONDS,
    ("resource",),
)
PREFER_SECONDS: Final = Histogram(
    "nodeplug_preferred_allocation_duration_seconds",
    "How long the answer to a GetPreferredAllocation call took.",
    _SECONDS,
    ("resource",),
)
SEND_SECONDS: Final = Histogram(
    "nodeplug_list_delay_seconds",
    "From a backend's news to the list that was sent to the kubelet.",
    _SECONDS,
    ("resource",),
)
REGISTRATIONS: Final = Counter(
    "nodeplug_registrations",
    "Attempts to register a resource with the kubelet, by outcome.",
    ("resource", "outcome"),
)
KUBELET_RESTARTS: Final = Counter(
    "nodeplug_kubelet_restarts", "How often another kubelet took the place of the one before."
)
BACKEND_RESTARTS: Final = Counter(
    "nodeplug_backend_restarts", "How often a backend was started anew after a crash.", ("backend",)
)
RELOADS: Final = Counter(
    "nodeplug_configuration_reloads",
    "Changed configurations that were taken over, or refused as a whole or in part.",
    ("outcome",),
)
CLUSTER_CALLS: Final = Counter(
    "nodeplug_cluster_calls", "Calls of the API server, by outcome.", ("outcome",)
)
CONDITION_HEARTBEAT: Final = Gauge(
    "nodeplug_condition_heartbeat_timestamp_seconds",
    "When the node's condition was renewed last.",
)
TELEMETRY_FAILURES: Final = Counter(
    "nodeplug_telemetry_failures",
    "Scrapes at which a backend could not measure its devices.",
    ("backend",),
)

ALL: Final = (
    ALLOCATIONS,
    REFUSALS,
    ALLOCATE_SECONDS,
    PREFER_SECONDS,
    SEND_SECONDS,
    REGISTRATIONS,
    KUBELET_RESTARTS,
    BACKEND_RESTARTS,
    RELOADS,
    CLUSTER_CALLS,
    CONDITION_HEARTBEAT,
    TELEMETRY_FAILURES,
)
