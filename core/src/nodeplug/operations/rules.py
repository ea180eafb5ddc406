"""What of the rules of offers and quarantine cannot hold, and what of them has no effect."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from nodeplug.backend import BackendSpec
from nodeplug.config.load import Configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.offers import Advertised, Refusal, advertise
from nodeplug.selectors import Selector, facts_of, matches
from nodeplug.supervisor.claims import Claims
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

_NAMED_LIMIT = 8


class Idle(NamedTuple):
    """A rule that has no effect: where it stands, why, and what could be meant instead."""

    place: str
    why: str
    instead: str


def offered(
    agent: AgentSettings, inventories: Mapping[str, Inventory]
) -> Iterator[tuple[str, Advertised]]:
    """Yield what backends with these inventories would offer, and which backend."""
    claims = Claims()
    for name, inventory in inventories.items():
        claims.own(name, inventory.resources)
    for name, inventory in inventories.items():
        advertised = advertise(inventory, agent.offers, {}, claims.taken(name))
        claims.give(name, advertised.offers)
        yield name, advertised


def refused(
    agent: AgentSettings, inventories: Mapping[str, Inventory]
) -> Iterator[tuple[str, Refusal]]:
    """Yield the names that backends with these inventories would not get, and which backend."""
    for name, advertised in offered(agent, inventories):
        yield from ((name, each) for each in advertised.refusals)


def expected(
    configuration: Configuration, specs: Mapping[str, BackendSpec]
) -> dict[str, Inventory]:
    """Return what is known of the resources of backends without their hardware."""
    return {
        name: Inventory.of((), resources=specs[name].own_names(settings))
        for name, settings in configuration.valid.items()
    }


def idle(
    agent: AgentSettings, inventories: Mapping[str, Inventory], *, all_known: bool
) -> Iterator[Idle]:
    """Yield the rules that no device of these inventories matches.

    Of a resource without devices nothing is known, nor where there is no device at all. Unless all
    backends are known, others may have what a rule means.
    """
    devices = [each for inventory in inventories.values() for each in inventory.devices.values()]
    resources = {name for inventory in inventories.values() for name in inventory.resources}
    for number, rule in enumerate(agent.offers):
        place = f"offers[{number}]"
        if any(map(rule.means, resources)):
            meant = [each for each in devices if rule.means(each.resource)]
            wanted = {**rule.devices, **({rule.split_by: "*"} if rule.split_by else {})}
            yield from _unmatched(place, wanted, meant, f"of {rule.resource}")
        elif all_known and devices:
            names = ", ".join(sorted(resources)) or "nothing is found"
            yield Idle(
                place, f"no backend has a resource {rule.resource}", f"take the name from: {names}"
            )
    for number, isolated in enumerate(agent.quarantine if all_known else ()):
        yield from _unmatched(f"quarantine[{number}]", isolated.devices, devices, "on this node")


def _unmatched(
    place: str, wanted: Mapping[str, Selector], devices: Sequence[Device], which: str
) -> Iterator[Idle]:
    if not devices or any(matches(device, wanted) for device in devices):
        return
    known = {name for device in devices for name in facts_of(device)}
    if unknown := sorted(wanted.keys() - known):
        instead = f"take it from: {', '.join(sorted(known))}"
        yield Idle(place, f"no device {which} has the attribute {', '.join(unknown)}", instead)
        return
    ids = sorted(device.id for device in devices)
    more = f" and {len(ids) - _NAMED_LIMIT} more" if len(ids) > _NAMED_LIMIT else ""
    instead = f"see `nodeplug devices`; there are {', '.join(ids[:_NAMED_LIMIT])}{more}"
    yield Idle(place, f"matches none of the {len(ids)} devices {which}", instead)
