"""Devices that the operator has taken out of service."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import msgspec

from nodeplug.selectors import Selector, check_selectors, matches
from nodeplug.values.device import Device, Health
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
    if not rules:
        return inventory
    devices = {i: _judge(device, rules) for i, device in inventory.devices.items()}
    return replace(inventory, devices=devices)


def _judge(device: Device, rules: Sequence[QuarantineRule]) -> Device:
    for rule in rules:
        if matches(device, rule.devices):
            reason = f"quarantined: {rule.reason}"
            return replace(device, health=Health.UNHEALTHY, reason=reason)
    return device
