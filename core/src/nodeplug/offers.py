"""What is advertised under which public name: renamed, split, shared."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Annotated, Literal, NamedTuple

import msgspec

from nodeplug.selectors import Selector, check_selectors, facts_of, matches
from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.hardware import Uses
from nodeplug.values.inventory import Inventory
from nodeplug.values.names import check_resource_name
from nodeplug.values.section import Section

Policy = Literal["packed", "spread", "aligned"]
Injection = Literal["devices", "cdi", "cdi-annotations"]

# Four digits fit behind the longest native id (R23): 56 + 2 + 4 <= 63.
_REPLICAS_LIMIT = 1000
_NAME_LIMIT = 63

_log = logging.getLogger("nodeplug.offers")


class OfferRule(Section, frozen=True):
    """How some devices of a resource are advertised."""

    resource: Annotated[
        str,
        msgspec.Meta(
            description="The backend's own name of the resource to change. With `*` at its end: "
            "every resource whose name begins so."
        ),
    ]
    devices: Annotated[
        dict[str, Selector],
        msgspec.Meta(
            description="Only devices whose attributes match. `nodeplug devices --output json` "
            "shows attributes; `id`, `parent` and `numa` count too. A value is equality, a glob, "
            "`!` and a value to exclude, `>=`, `<=`, `>`, `<` and a number, a range `a..b`, or a "
            "list of these."
        ),
    ] = msgspec.field(default_factory=dict)
    rename: Annotated[
        str, msgspec.Meta(description="The public name; empty keeps the backend's name.")
    ] = ""
    split_by: Annotated[
        str,
        msgspec.Meta(
            description="An attribute; its value is added to the name, so that each value is a "
            "resource of its own."
        ),
    ] = ""
    replicas: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=_REPLICAS_LIMIT,
            description="How many containers may share each device. There is no isolation between "
            "them.",
        ),
    ] = 1
    mark_shared: Annotated[
        bool, msgspec.Meta(description="Whether a shared resource's name ends in `.shared`.")
    ] = False
    fail_requests_greater_than_one: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a container that asks for more than one shared device is refused: "
            "more replicas give it no more of the device."
        ),
    ] = False
    policy: Annotated[
        Policy | None,
        msgspec.Meta(
            description="Which devices the kubelet is told to prefer: `packed` fills up what is in "
            "use, `spread` takes what is used least, `aligned` takes those close to each other. "
            "Without it the kubelet chooses."
        ),
    ] = None

    inject: Annotated[
        Injection,
        msgspec.Meta(
            description="How containers get the devices: `devices` in the kubelet's own terms, "
            "`cdi` by names of the Container Device Interface, `cdi-annotations` by the same names "
            "in annotations, for kubelets before 1.28. With CDI, hooks take effect too."
        ),
    ] = "devices"

    def __post_init__(self) -> None:
        if self.resource.endswith("*"):
            check_resource_name(self.resource.replace("*", "x"))
            if self.rename:
                raise ValueError(f"{self.resource} means several resources; one name cannot do")
        else:
            check_resource_name(self.resource)
            check_resource_name(self.public_name)
        check_selectors(self.devices)

    def for_resource(self, name: str) -> "OfferRule | None":
        """Return the rule as it holds for a resource, or None where it does not."""
        if self.resource == name:
            return self
        if self.resource.endswith("*") and name.startswith(self.resource[:-1]):
            return msgspec.structs.replace(self, resource=name)
        return None

    @property
    def public_name(self) -> str:
        """The name before any split."""
        shared = ".shared" if self.mark_shared and self.replicas > 1 else ""
        return f"{self.rename or self.resource}{shared}"


class OfferedDevice(NamedTuple):
    """A device under the id that the kubelet sees."""

    id: str
    device: Device


@dataclass(frozen=True, slots=True)
class Offer:
    """One public resource of one backend.

    `native` is the backend's name for it. `prepared` says that containers wait for the backend's
    `prepare`; `edits` are common to all devices of the resource; `links` are the backend's.
    `single` refuses requests for more than one device; `inject` is how containers get them. `uses`
    says by device id what hardware each is, where more is known than its id.
    """

    resource: str
    devices: tuple[OfferedDevice, ...] = ()
    native: str = ""
    prepared: bool = False
    edits: ContainerEdits = NO_EDITS
    links: Mapping[tuple[str, str], int] = field(default_factory=dict)
    policy: Policy | None = None
    single: bool = False
    inject: Injection = "devices"
    uses: Mapping[str, Uses] = field(default_factory=dict)


def make_offers(inventory: Inventory, rules: Sequence[OfferRule] = ()) -> Mapping[str, Offer]:
    """Return the offers of an inventory by public name.

    The first rule that a device matches holds for it; without one its resource is offered as it
    is. A resource without devices is offered under the names that its rules would give. A name
    that another resource has is not given again: the rule is left out of account.
    """
    by_native = {
        name: [own for rule in rules if (own := rule.for_resource(name))]
        for name in sorted(inventory.resources)
    }
    _report_unknown_attributes(inventory, rules)
    offers: dict[str, Offer] = {}
    for offer in _empty_offers(inventory, by_native):
        offers.setdefault(offer.resource, offer)
    devices: dict[str, list[OfferedDevice]] = {}
    for device in inventory.devices.values():
        if not (candidates := by_native[device.resource]):
            devices.setdefault(device.resource, []).append(OfferedDevice(device.id, device))
            continue
        rule = next((each for each in candidates if matches(device, each.devices)), None)
        for applied in (rule, None):
            name = _name(device, applied)
            if name not in offers:
                offers[name] = _offer(inventory, name, device.resource, applied)
            if offers[name].native == device.resource:
                devices.setdefault(name, []).extend(_replicas(device, applied))
                break
            _report_collision(name, device.resource)
    return {
        name: replace(offer, devices=tuple(devices.get(name, ()))) for name, offer in offers.items()
    }


def _empty_offers(
    inventory: Inventory, by_native: Mapping[str, Sequence[OfferRule]]
) -> Iterator[Offer]:
    for native, rules in by_native.items():
        if all(rule.devices for rule in rules):
            yield _offer(inventory, native, native, None)
    for native, rules in by_native.items():
        for rule in rules:
            if not rule.split_by:
                yield _offer(inventory, rule.public_name, native, rule)


def _offer(inventory: Inventory, name: str, native: str, rule: OfferRule | None) -> Offer:
    return Offer(
        resource=name,
        native=native,
        prepared=native in inventory.prepared,
        edits=inventory.edits,
        links=inventory.links,
        policy=rule.policy if rule else None,
        inject=rule.inject if rule else "devices",
        single=bool(rule and rule.replicas > 1 and rule.fail_requests_greater_than_one),
    )


def _name(device: Device, rule: OfferRule | None) -> str:
    if rule is None:
        return device.resource
    value = str(facts_of(device).get(rule.split_by, "")) if rule.split_by else ""
    suffix = re.sub(r"[^A-Za-z0-9.]+", "-", value).strip("-.").lower()
    if not suffix:
        return rule.public_name
    domain, _, part = rule.public_name.partition("/")
    return f"{domain}/{f'{part}-{suffix}'[:_NAME_LIMIT].rstrip('-.')}"


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


@cache
def _report_collision(name: str, native: str) -> None:
    facts = {"name": name, "resource": native}
    _log.error("rename refused, the name is another resource's", extra={"nodeplug": facts})


def _replicas(device: Device, rule: OfferRule | None) -> Sequence[OfferedDevice]:
    if rule is None or rule.replicas == 1:
        return (OfferedDevice(device.id, device),)
    return [OfferedDevice(f"{device.id}::{n}", device) for n in range(rule.replicas)]
