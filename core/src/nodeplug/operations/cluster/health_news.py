"""Turning two states of the devices into news."""

from collections.abc import Iterator, Mapping

from nodeplug.holdings import physical_id
from nodeplug.operations.cluster.calls import News
from nodeplug.operations.cluster.users import Users
from nodeplug.supervisor.report import AgentReport

Ailments = Mapping[tuple[str, str], str]
"""By resource and device: why it is sick, or empty."""

GONE = "gone"


def ailments(report: AgentReport) -> Ailments:
    """Return the health of every device, each once however many replicas it has.

    One that is not offered because of what containers have is not sick: that is no news.
    """
    return {
        (each.pool.resource, physical_id(device.id)): "" if device.held else device.reason
        for each in report.resources
        for device in each.pool.snapshot.devices
    }


def newly_sick(before: Ailments, now: Ailments) -> Ailments:
    """Return what is sick for a reason that was not told; what left the list is gone."""
    gone = {key: GONE for key, reason in before.items() if key not in now and reason != GONE}
    return {k: why for k, why in now.items() if why and why != before.get(k)} | gone


def sick_news(sick: Ailments, users: Users) -> Iterator[News]:
    """Yield what has changed for the worse, and which pods it hits."""
    for (resource, device), reason in sick.items():
        pods = users.get((resource, device))
        hit = f"; in use by {pods}" if pods else ""
        yield News("DeviceUnhealthy", f"{device} of {resource} is unhealthy: {reason}{hit}")


def recovery_news(before: Ailments, now: Ailments) -> Iterator[News]:
    """Yield what has changed for the better."""
    for (resource, device), reason in now.items():
        if not reason and before.get((resource, device)):
            yield News("DeviceHealthy", f"{device} of {resource} is healthy again", warning=False)
