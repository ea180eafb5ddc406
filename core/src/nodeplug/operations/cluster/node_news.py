"""What there is to tell of a node, and turning a change of it into news."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nodeplug.holdings import physical_id
from nodeplug.operations.cluster.calls import News
from nodeplug.operations.cluster.users import Users
from nodeplug.supervisor.reload import ReloadReport
from nodeplug.supervisor.report import AgentReport
from nodeplug.supervisor.troubles import STARTING


class Fact(NamedTuple):
    """What something can be wrong with: a device, a resource, or a trouble of some kind."""

    kind: str
    resource: str = ""
    name: str = ""


Facts = Mapping[Fact, str]
"""What is wrong with each, empty for what is well."""

_DEVICE, _RESOURCE, _TROUBLE = "device", "resource", "trouble "
_GONE = "gone"


def facts_of(report: AgentReport, reload: ReloadReport) -> Facts:
    """Return what is so now: each device once, however many replicas it has.

    One that is not offered because of what containers have is not sick: that is no news.
    """
    facts = {
        Fact(f"{_TROUBLE}{each.kind}", name=each.shown): each.shown
        for each in (*reload.troubles, *report.troubles)
        if each.kind != STARTING
    }
    for each in report.resources:
        resource = each.pool.resource
        facts[Fact(_RESOURCE, resource)] = each.error
        for device in each.pool.snapshot.devices:
            reason = "" if device.held else device.reason
            facts[Fact(_DEVICE, resource, physical_id(device.id))] = reason
    return facts


def changed(before: Facts, now: Facts) -> list[Fact]:
    """Return all that is not as it was, those that came and went among them."""
    return [fact for fact in {**before, **now} if before.get(fact) != now.get(fact)]


def worse(changes: Sequence[Fact], now: Facts) -> bool:
    """Whether a device is among them that is sick or gone."""
    return any(fact.kind == _DEVICE and now.get(fact, _GONE) for fact in changes)


def news_of(fact: Fact, before: str, now: str | None, users: Users) -> News | None:
    """Return what to tell of a fact, whose value is None if it is none any more."""
    if now == before:
        return None
    if fact.kind == _DEVICE:
        return _of_device(fact, _GONE if now is None else now, users)
    if now and fact.kind == _RESOURCE:
        text = f"the kubelet does not accept {fact.resource}: {now}"
        return News("RegistrationFailing", text)
    return News(fact.kind.removeprefix(_TROUBLE), now) if now else None


def _of_device(fact: Fact, reason: str, users: Users) -> News:
    device = f"{fact.name} of {fact.resource}"
    if not reason:
        return News("DeviceHealthy", f"{device} is healthy again", warning=False)
    pods = users.get((fact.resource, fact.name))
    hit = f"; in use by {pods}" if pods else ""
    return News("DeviceUnhealthy", f"{device} is unhealthy: {reason}{hit}")
