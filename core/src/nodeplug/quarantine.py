"""Devices that the operator has taken out of service."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated

import msgspec

from nodeplug.selectors import Selector, check_selectors, facts_of, test_for
from nodeplug.values.device import Attribute, Device, Health
from nodeplug.values.inventory import Inventory
from nodeplug.values.section import Section


class QuarantineRule(Section, frozen=True):
    """Which devices are out of service, and why."""

    devices: Annotated[
        dict[str, Selector],
        msgspec.Meta(
            min_length=1, description="The devices, by the selectors that `offers` has too."
        ),
    ]
    reason: Annotated[
        str, msgspec.Meta(min_length=1, description="What is told wherever the device is shown.")
    ] = "by the operator"

    def __post_init__(self) -> None:
        check_selectors(self.devices)


def isolate(inventory: Inventory, rules: Sequence[QuarantineRule]) -> Inventory:
    """Return the inventory with every device that a rule matches turned Unhealthy."""
    judges = [(test_for(rule.devices), f"quarantined: {rule.reason}") for rule in rules]
    devices = {i: _judge(device, judges) for i, device in inventory.devices.items()}
    return replace(inventory, devices=devices)


def quarantined(inventory: Inventory, rules: Sequence[QuarantineRule]) -> dict[str, str]:
    """Return why devices are out of service by these rules, by id."""
    devices = isolate(inventory, rules).devices
    return {i: new.reason for i, new in devices.items() if new is not inventory.devices[i]}


def _judge(
    device: Device, judges: Sequence[tuple[Callable[[Mapping[str, Attribute]], bool], str]]
) -> Device:
    facts = facts_of(device)
    for holds, reason in judges:
        if holds(facts):
            return replace(device, health=Health.UNHEALTHY, reason=reason)
    return device
