"""Families that are read off the agent's present state."""

import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator

from nodeplug._version import __version__
from nodeplug.meters.family import Family, Sample
from nodeplug.operations.tally import Tally
from nodeplug.supervisor.reload import ReloadReport
from nodeplug.supervisor.report import AgentReport, ResourceReport

# Each has a series of its own, and a node may have thousands of devices.
_HOLDS_LIMIT = 50
_NOT_IN_FORCE = {"ConfigurationRefused", "SettingsKept", "RuleRefused", "NameTaken"}


def families(report: AgentReport, tally: Tally) -> Iterator[Family]:
    """Yield what the state of agent, backends and resources shows."""
    facts = (("version", __version__), ("python_version", platform.python_version()))
    yield Family("nodeplug_build", "info", "What runs.", [Sample("_info", facts, 1)])
    yield _gauge("nodeplug_kubelet_up", "Whether there is a kubelet.", report.kubelet_present)
    about = "Whether the agent waits while another one of its installation serves."
    yield _gauge("nodeplug_standby", about, report.standby)
    yield Family(
        "nodeplug_backend_up",
        "gauge",
        "Whether the backend finds devices; 0 while it has failed or has no configuration.",
        [Sample("", (("backend", each.name),), not each.trouble) for each in report.backends],
    )
    yield Family(
        "nodeplug_left_out_devices",
        "gauge",
        "Things of the host that are no devices, for something about them is odd.",
        [Sample("", (("backend", each.name),), len(each.left_out)) for each in report.backends],
    )
    yield _of_resources(
        report,
        "nodeplug_resource_registered",
        "Whether the kubelet has accepted the resource.",
        lambda each: each.registered,
    )
    yield _of_resources(
        report,
        "nodeplug_resource_streams",
        "Streams on which the list of devices is followed.",
        lambda each: each.streams,
    )
    yield from _devices(report, tally)
    yield from _holds(report)
    yield Family(
        "nodeplug_fallback",
        "gauge",
        "What lacks something that it should have, and does without.",
        [Sample("", (("what", what),), 1) for what in sorted(report.fallbacks)],
    )


def configuration(report: ReloadReport, agent: AgentReport) -> Iterator[Family]:
    """Yield how the configuration was taken over last, and what of all that is wanted is not."""
    troubles = [each for each in (*report.troubles, *agent.troubles) if not each.blocks]
    kinds = Counter(each.kind for each in troubles)
    yield _gauge(
        "nodeplug_configuration_last_reload_successful",
        "Whether all of the configuration is in force.",
        not kinds.keys() & _NOT_IN_FORCE,
    )
    yield Family(
        "nodeplug_degraded",
        "gauge",
        "What the agent does not do as it should, while the kubelet can use it.",
        [Sample("", (("kind", kind),), number) for kind, number in sorted(kinds.items())],
    )
    yield _gauge(
        "nodeplug_configuration_last_reload_timestamp_seconds",
        "When the configuration was read last.",
        report.at,
    )


def process() -> Iterator[Family]:
    """Yield what Prometheus knows of every process."""
    yield Family(
        "process_cpu_seconds",
        "counter",
        "User and system CPU time.",
        [Sample("_total", (), time.process_time())],
    )
    yield _gauge("process_resident_memory_bytes", "Resident memory.", _resident())


def _resident() -> float:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:  # noqa: PTH123 - of this process
        line = next((line for line in status if line.startswith("VmRSS:")), "VmRSS: 0 kB")
    return int(line.split()[1]) * 1024


def _devices(report: AgentReport, tally: Tally) -> Iterator[Family]:
    listed, sick = [], []
    for each in report.resources:
        labels = (("backend", each.backend), ("resource", each.pool.resource))
        count = tally.count(each.pool.resource, each.pool.snapshot)
        listed += [
            Sample("", (*labels, ("health", health)), number)
            for health, number in count.standings.items()
        ]
        sick += [
            Sample("", (*labels, ("reason", reason)), number)
            for reason, number in count.reasons.items()
        ]
    about = "Devices that are listed; Held are Unhealthy to the kubelet, and well."
    yield Family("nodeplug_devices", "gauge", about, listed)
    about = "Unhealthy devices by reason, without those that are merely held."
    yield Family("nodeplug_unhealthy_devices", "gauge", about, sick)


def _holds(report: AgentReport) -> Iterator[Family]:
    oldest = sorted(report.holds.items(), key=lambda each: -each[1])[:_HOLDS_LIMIT]
    samples = [
        Sample("", (("resource", resource), ("device", device)), seconds)
        for (resource, device), seconds in oldest
    ]
    about = "For how long something has not been offered because of what containers may have."
    yield Family("nodeplug_hold_blocking_seconds", "gauge", about, samples)
    about = "Whether what was given to containers is written down for other agents."
    yield _gauge("nodeplug_ledger_writable", about, not report.ledger_trouble)


def _of_resources(
    report: AgentReport, name: str, about: str, value: Callable[[ResourceReport], float]
) -> Family:
    samples = [
        Sample("", (("resource", each.pool.resource),), value(each)) for each in report.resources
    ]
    return Family(name, "gauge", about, samples)


def _gauge(name: str, about: str, value: float) -> Family:
    return Family(name, "gauge", about, [Sample("", (), value)])
