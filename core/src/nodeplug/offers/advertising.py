"""From an inventory and rules to offers; what a rule asks for in vain is told."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from nodeplug.offers.making import Advertised, Making, value_of
from nodeplug.offers.offer import Offer, OfferedDevice
from nodeplug.offers.rules import OfferRule
from nodeplug.offers.size import LIST_LIMIT, LONGEST, listed_size
from nodeplug.offers.split import split_names
from nodeplug.selectors import facts_of, test_for
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

_NOBODY: Mapping[str, str] = {}
_NO_RULES: Mapping[str, "Sequence[OfferRule]"] = {}
_Named = tuple[str, OfferRule | None]

_log = logging.getLogger("nodeplug.offers")


def make_offers(inventory: Inventory, rules: Sequence[OfferRule] = ()) -> Mapping[str, Offer]:
    """Return the offers of a backend that is alone, by public name."""
    return advertise(inventory, rules).offers


def advertise(
    inventory: Inventory,
    rules: Sequence[OfferRule] = (),
    former: Mapping[str, Sequence[OfferRule]] = _NO_RULES,
    taken: Mapping[str, str] = _NOBODY,
) -> Advertised:
    """Return how an inventory is offered.

    The first rule that a device matches holds for it; without one its resource is offered as it
    is. A resource without devices is offered under the names that its rules would give. A name
    that another resource has, or that is `taken` by whom it maps to, is not given again. Devices
    whose rule is refused are offered as the `former` rules for their resource say, or as their
    backend names them.
    """
    _report_unknown_attributes(inventory, rules)
    wanted = _Reading(inventory, dict.fromkeys(inventory.resources, rules))
    before = _Reading(inventory, former)
    making = Making(inventory, taken, {*wanted.overlong(before)})
    for native in sorted(inventory.resources):
        if all(rule.devices for rule in wanted.rules[native]):
            making.open(native, native)
    for native in sorted(inventory.resources):
        for name, rule in wanted.whole_names(native):
            if refusal := making.open(name, native, rule):
                making.refuse(refusal)
                _open_instead(making, before, native)
    plain = {
        native: making.devices[native]
        for native, own in wanted.rules.items()
        if not own and making.open(native, native) is None
    }
    for device in inventory.devices.values():
        own = plain.get(device.resource)
        if own is not None:  # of most there are no rules, and there may be very many
            own.append(OfferedDevice(device.id, device))
        else:
            _offer(making, device, wanted, before)
    return making.done()


def _open_instead(making: Making, before: "_Reading", native: str) -> None:
    for name, rule in (*before.whole_names(native), (native, None)):
        if making.open(name, native, rule) is None:
            return


def _offer(making: Making, device: Device, wanted: "_Reading", before: "_Reading") -> None:
    if (refusal := making.add(device, *wanted.of(device))) is None:
        return
    making.refuse(refusal)
    if making.add(device, *before.of(device)) is None:
        return
    if refusal := making.add(device, device.resource, None):
        making.refuse(refusal)


class _Reading:
    """What rules say of an inventory."""

    def __init__(self, inventory: Inventory, rules: Mapping[str, Sequence[OfferRule]]) -> None:
        self.rules = {name: _reachable(rules.get(name, ()), name) for name in inventory.resources}
        self._tests = {
            id(rule): test_for(rule.devices) for own in self.rules.values() for rule in own
        }
        self._inventory = inventory
        self._split: dict[tuple[str, int], Mapping[str, str]] = {}

    def overlong(self, before: "_Reading") -> Iterator[tuple[str, int]]:
        """Yield names whose lists would not fit, each with a rule that is none of `before`."""
        devices = self._inventory.devices.values()
        most = max((rule.replicas for own in self.rules.values() for rule in own), default=1)
        if most == 1 or len(devices) * most * LONGEST <= LIST_LIMIT:
            return
        sizes: Counter[str] = Counter()
        for device in devices:
            name, rule = self.of(device)
            sizes[name] += listed_size(device, rule.replicas if rule else 1)
        for device in devices:
            name, rule = self.of(device)
            if sizes[name] > LIST_LIMIT and rule and rule not in before.rules[device.resource]:
                yield name, id(rule)

    def whole_names(self, native: str) -> list[_Named]:
        """Return the names that are given whatever devices there are, each with its rule."""
        return [(r.name_for(native), r) for r in self.rules[native] if not r.split_by]

    def of(self, device: Device) -> _Named:
        """Return the name of a device, and the rule that gives it."""
        native, rules = device.resource, self.rules[device.resource]
        facts = facts_of(device) if any(each.devices for each in rules) else {}
        rule = next((each for each in rules if self._tests[id(each)](facts)), None)
        if rule is None:
            return native, None
        if rule.split_by:
            return self._names(native, rule)[value_of(device, rule)], rule
        return rule.name_for(native), rule

    def _names(self, native: str, rule: OfferRule) -> Mapping[str, str]:
        number = self.rules[native].index(rule)
        if (native, number) not in self._split:
            devices = self._inventory.devices.values()
            values = {value_of(device, rule) for device in devices if device.resource == native}
            self._split[native, number] = split_names(rule.name_for(native), values)
        return self._split[native, number]


def _reachable(rules: Sequence[OfferRule], native: str) -> list[OfferRule]:
    """Return the rules for a resource up to the first that any device matches."""
    found: list[OfferRule] = []
    for rule in rules:
        if rule.means(native):
            found.append(rule)
            if not rule.devices:
                break
    return found


def _report_unknown_attributes(inventory: Inventory, rules: Sequence[OfferRule]) -> None:
    for rule in rules:
        if rule.resource in inventory.resources:
            unknown = {*rule.devices, rule.split_by} - {""}
            devices = [d for d in inventory.devices.values() if d.resource == rule.resource]
            for device in devices:
                unknown -= facts_of(device).keys()
                if not unknown:
                    break
            for name in sorted(unknown if devices else ()):
                _report_unknown(rule.resource, name)


@cache
def _report_unknown(resource: str, attribute: str) -> None:
    facts = {"resource": resource, "attribute": attribute}
    _log.error("no device has the attribute that a rule names", extra={"nodeplug": facts})
