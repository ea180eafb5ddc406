"""Turning two states of the devices into news."""

from collections.abc import Iterator, Mapping

from nodeplug.holdings import physical_id
from nodeplug.operations.cluster.calls import News
from nodeplug.supervisor.report import AgentReport

Ailments = Mapping[tuple[str, str], str]
"""By resource and device: why it is Unhealthy, or empty."""

GONE = "gone"


def ailments(report: AgentReport) -> Ailments:
    """Return the health of every device, each once however many replicas it has."""
    return {
        (each.pool.resource, physical_id(device.id)): device.reason
        for each in report.resources
        for device in each.pool.snapshot.devices
    }


def health_news(before: Ailments, now: Ailments) -> Iterator[News]:
    """Yield what has changed for the worse or the better."""
    for (resource, device), reason in now.items():
        known = before.get((resource, device), "")
        if reason and reason != known:
            yield News("DeviceUnhealthy", f"{device} of {resource} is unhealthy: {reason}")
        elif known and not reason:
            yield News("DeviceHealthy", f"{device} of {resource} is healthy again", warning=False)
    for resource, device in before.keys() - now.keys():
        if before[resource, device] != GONE:
            yield News("DeviceUnhealthy", f"{device} of {resource} is unhealthy: {GONE}")
