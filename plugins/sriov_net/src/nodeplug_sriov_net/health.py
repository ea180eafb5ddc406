"""Why a device is of no use now, as far as its links tell."""

from collections.abc import Collection, Mapping

import msgspec

from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.facts import Link
from nodeplug_sriov_net.pools import Member


class Vitals(msgspec.Struct, frozen=True):
    """What netlink alone tells: states of virtual functions' links, failed health reporters.

    The states are `auto`, `enable` or `disable` by the physical function's PCI address and the
    index; reporters are names by PCI address.
    """

    states: Mapping[tuple[str, int], str] = {}
    failed: Mapping[str, Collection[str]] = {}


def reason_of(member: Member, vitals: Vitals) -> str:
    """Return why the device is Unhealthy, or nothing."""
    if member.reason:
        return member.reason
    device, wanted = member.device, member.pool.health
    if wanted.carrier and (reason := _without_carrier(device)):
        return reason
    if wanted.link_state and (reason := _link_down(device, vitals)):
        return reason
    return _failed(device, vitals) if wanted.reporters else ""


def _without_carrier(device: Candidate) -> str:
    link = device.owner_link if device.owner else device.link
    return "" if link is None else _carrier(link)


def _carrier(link: Link) -> str:
    if link.carrier is None:
        return f"{link.name} is down"
    return "" if link.carrier else f"{link.name} has no carrier"


def _link_down(device: Candidate, vitals: Vitals) -> str:
    link, index = device.owner_link, device.index
    if link is None or device.owner is None or index is None:
        return _without_carrier(device)
    state = vitals.states.get((device.owner.address, index), "auto")
    if state == "disable":
        return f"its link is disabled at {link.name}"
    return "" if state == "enable" else _carrier(link)


def _failed(device: Candidate, vitals: Vitals) -> str:
    places = [device.function.address, *([device.owner.address] if device.owner else [])]
    for address in dict.fromkeys(places):
        for name in sorted(vitals.failed.get(address, ())):
            return f"health reporter {name} of {address} is in error"
    return ""
