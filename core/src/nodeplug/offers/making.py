"""The offers of one backend as they come about: who may have which name, with which keys."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec

from nodeplug.offers.keys import Keys
from nodeplug.offers.offer import Offer, OfferedDevice
from nodeplug.offers.rules import OfferRule
from nodeplug.offers.size import LIST_LIMIT, listed_size
from nodeplug.selectors import facts_of, text_of
from nodeplug.values.device import Device
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.inventory import Inventory
from nodeplug.values.names import check_resource_name


class Refusal(msgspec.Struct, frozen=True):
    """A public name that is not given to devices of a resource, and why.

    `held` says that another backend has the name; otherwise the rules themselves are at fault.
    """

    resource: str
    name: str
    why: str
    held: bool = False

    @property
    def detail(self) -> str:
        """All of it, in one line."""
        return f"{self.resource} is not offered as {self.name}: {self.why}"


class Advertised(msgspec.Struct, frozen=True):
    """Offers by public name, and what is wanted in vain."""

    offers: Mapping[str, Offer]
    refusals: Sequence[Refusal] = ()


class Making:
    """The offers of one backend as they come about; `devices` are those of each open name.

    A name is not opened to a rule where the two are `overlong`.
    """

    def __init__(
        self, inventory: Inventory, taken: Mapping[str, str], overlong: Collection[tuple[str, int]]
    ) -> None:
        self._inventory = inventory
        self._taken = taken
        self._overlong = overlong
        self._sizes: Counter[str] = Counter()
        self._natives: dict[str, str] = {}
        self._keys: dict[str, Keys] = {}
        self._values: dict[str, str] = {}
        self.devices: dict[str, list[OfferedDevice]] = {}
        self._tried: dict[tuple[str, str, int, str], Refusal | None] = {}
        self._refusals: dict[Refusal, None] = {}

    def open(
        self, name: str, native: str, rule: OfferRule | None = None, value: str = ""
    ) -> Refusal | None:
        """Let a resource have a name, with all that a rule says; return why it may not."""
        attempt = name, native, id(rule), value
        if attempt not in self._tried:
            self._tried[attempt] = refusal = self._refusal(name, native, rule, value)
            if refusal is None:
                self._natives[name], self._values[name] = native, value
                self._keys[name] = self._keys.get(name, Keys()).merged(Keys.of(rule))
                self.devices.setdefault(name, [])
        return self._tried[attempt]

    def refuse(self, refusal: Refusal) -> None:
        """Note what is wanted in vain."""
        self._refusals[refusal] = None

    def add(self, device: Device, name: str, rule: OfferRule | None) -> Refusal | None:
        """Offer a device under a name; return why that may not be."""
        value = value_of(device, rule) if rule and rule.split_by else ""
        refusal = self.open(name, device.resource, rule, value)
        # More of what is refused as a whole would only take memory.
        if refusal is None and self._sizes[name] <= LIST_LIMIT:
            self._sizes[name] += listed_size(device, rule.replicas if rule else 1)
            self.devices[name] += _replicas(device, rule)
        return refusal

    def done(self) -> Advertised:
        """Return what has come about."""
        offers = {name: self._offer(name, devices) for name, devices in self.devices.items()}
        return Advertised(offers, tuple(self._refusals))

    def _refusal(
        self, name: str, native: str, rule: OfferRule | None, value: str
    ) -> Refusal | None:
        if name in self._taken:
            return Refusal(native, name, f"that is {self._taken[name]}", held=True)
        why = self._why_not(name, native, rule, value)
        return Refusal(native, name, why) if why else None

    def _why_not(self, name: str, native: str, rule: OfferRule | None, value: str) -> str:
        other = name if name in self._inventory.resources else self._natives.get(name, native)
        if other != native:
            return f"that is the name of {other}"
        if (name, id(rule)) in self._overlong:
            return "the kubelet takes no list with so many replicas"
        if name not in self._natives:
            return _unfit(name)
        if key := self._keys[name].conflict(Keys.of(rule)):
            return f"another rule gives that name with another {key}"
        return "devices with another value have that name" if self._values[name] != value else ""

    def _offer(self, name: str, devices: Sequence[OfferedDevice]) -> Offer:
        native, keys = self._natives[name], self._keys[name]
        return Offer(
            resource=name,
            devices=tuple(devices),
            native=native,
            prepared=native in self._inventory.prepared,
            edits=self._inventory.edits,
            links=self._inventory.links,
            policy=keys.policy,
            inject=keys.inject or "devices",
            single=bool(keys.single),
        )


def _unfit(name: str) -> str:
    try:
        check_resource_name(name)
    except InvalidValueError as error:
        return str(error)
    return ""


def value_of(device: Device, rule: OfferRule) -> str:
    """Return what a rule splits a device by, as text; empty where the device has no such thing."""
    return text_of(facts_of(device).get(rule.split_by, ""))


def _replicas(device: Device, rule: OfferRule | None) -> Sequence[OfferedDevice]:
    if rule is None or rule.replicas == 1:
        return (OfferedDevice(device.id, device),)
    return [OfferedDevice(f"{device.id}::{n}", device) for n in range(rule.replicas)]
