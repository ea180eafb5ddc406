"""What a rule asks for in vain costs nobody his devices, and is told."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from nodeplug.kubelet.translate import encode_listed
from nodeplug.offers import LIST_LIMIT, Advertised, OfferRule, advertise
from nodeplug.offers.size import listed_size
from nodeplug.pool import ListedDevice
from nodeplug.values.device import Device, Health
from nodeplug.values.inventory import Inventory

GPU = "vendor.example/gpu"
LONG = f"vendor.example/{'a' * 60}"
PAIR = Inventory.of(
    [
        Device(id="large", resource=GPU, attributes={"memory": 80}),
        Device(id="small", resource=GPU, attributes={"memory": 40}),
    ]
)


def rules(*read: Mapping[str, Any]) -> Sequence[OfferRule]:
    return [msgspec.convert({"resource": GPU, **rule}, OfferRule) for rule in read]


def ids(found: Advertised) -> dict[str, list[str]]:
    return {name: [each.id for each in offer.devices] for name, offer in found.offers.items()}


def test_a_rule_whose_name_gets_too_long_leaves_the_resource_as_it_is() -> None:
    """`.shared` is added to it; nothing is raised."""
    inventory = Inventory.of([Device(id="d", resource=LONG), Device(id="e", resource=GPU)])
    shared = rules({"resource": "vendor.example/*", "replicas": 2, "markShared": True})
    found = advertise(inventory, shared)
    assert ids(found) == {LONG: ["d"], f"{GPU}.shared": ["e::0", "e::1"]}
    [refusal] = found.refusals
    assert (refusal.resource, refusal.name) == (LONG, f"{LONG}.shared")
    assert "1 to 63" in refusal.why


def test_a_resource_without_devices_keeps_its_name_where_a_rule_is_refused() -> None:
    """It is advertised with none."""
    found = advertise(Inventory.of([], resources=[GPU]), rules({"rename": "a.b/c"}), {}, TAKEN)
    assert ids(found) == {GPU: []}


def test_the_rules_that_worked_last_hold_where_new_ones_do_not() -> None:
    """Of the same resource."""
    former = {GPU: rules({"rename": "a.b/former", "replicas": 2})}
    found = advertise(PAIR, rules({"rename": "a.b/c"}), former, TAKEN)
    assert ids(found) == {"a.b/former": ["large::0", "large::1", "small::0", "small::1"]}


TAKEN = {"a.b/c": "a resource of backend other"}


def test_a_name_that_is_taken_is_refused_to_the_devices_of_its_rule_alone() -> None:
    """What other rules say holds."""
    found = advertise(
        PAIR,
        rules({"devices": {"memory": ">=80"}, "rename": "a.b/c"}, {"replicas": 2}),
        {},
        TAKEN,
    )
    assert ids(found) == {GPU: ["large", "small::0", "small::1"]}
    assert [refusal.detail for refusal in found.refusals] == [
        f"{GPU} is not offered as a.b/c: that is a resource of backend other"
    ]


def test_a_backend_s_own_name_that_is_taken_is_served_by_nobody_else() -> None:
    """Two backends call a resource alike: one has it."""
    found = advertise(PAIR, (), {}, {GPU: "a resource of backend other"})
    assert ids(found) == {}
    assert {refusal.held for refusal in found.refusals} == {True}


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("policy", {"policy": "packed"}, {"policy": "spread"}),
        ("inject", {"inject": "cdi"}, {}),
        (
            "failRequestsGreaterThanOne",
            {"replicas": 2},
            {"replicas": 2, "failRequestsGreaterThanOne": True},
        ),
    ],
)
def test_a_second_rule_of_a_name_loses_no_key_unnoticed(
    key: str, one: Mapping[str, Any], other: Mapping[str, Any]
) -> None:
    """A resource has one policy, one way of injection, one limit."""
    later = {"resource": "vendor.example/*", **other}
    found = advertise(PAIR, rules({"devices": {"memory": ">=80"}, **one}, later))
    [refusal] = found.refusals
    assert refusal.why == f"another rule gives that name with another {key}"


def test_a_rule_that_says_nothing_of_a_key_agrees_with_one_that_does() -> None:
    """And so do devices without a rule."""
    found = advertise(PAIR, rules({"devices": {"memory": ">=80"}, "policy": "packed"}))
    assert (found.offers[GPU].policy, found.refusals) == ("packed", ())


def test_a_rule_that_no_device_reaches_is_in_nobody_s_way() -> None:
    """One before it holds for all: so is a rule overridden for a node."""
    found = advertise(PAIR, rules({"policy": "spread"}, {"policy": "packed", "rename": "a.b/c"}))
    assert [(name, offer.policy) for name, offer in found.offers.items()] == [(GPU, "spread")]


MANY = [Device(id=f"gpu{n}", resource=GPU, numa_nodes=(n % 2,)) for n in range(8)]
FULL = Inventory.of(MANY)


def test_replicas_of_which_no_list_would_fit_are_refused() -> None:
    """R22: of all devices, also where a part would fit; what is called otherwise is not meant."""
    both = rules({"devices": {"id": "gpu0"}, "rename": "a.b/c", "replicas": 5}, {"replicas": 50000})
    found = advertise(FULL, both)
    assert {name: len(found) for name, found in ids(found).items()} == {"a.b/c": 5, GPU: 7}
    assert [refusal.why for refusal in found.refusals] == [
        "the kubelet takes no list with so many replicas"
    ]


def test_replicas_that_would_not_fit_leave_what_the_former_rules_say() -> None:
    """With the devices of now."""
    former = {GPU: rules({"rename": "a.b/c", "replicas": 2})}
    found = advertise(FULL, rules({"rename": "a.b/d", "replicas": 50000}), former)
    assert {name: len(found) for name, found in ids(found).items()} == {"a.b/c": 16}


def test_as_many_replicas_are_offered_as_the_kubelet_takes() -> None:
    """Here 15,000 of each; the size is that of the message."""
    [offer] = advertise(FULL, rules({"replicas": 15000})).offers.values()
    assert len(offer.devices) == 8 * 15000
    listed = b"".join(
        encode_listed(ListedDevice(each.id, Health.HEALTHY, each.device.numa_nodes))
        for each in offer.devices
    )
    assert len(listed) == sum(listed_size(device, 15000) for device in MANY) <= LIST_LIMIT
    assert not advertise(FULL, rules({"replicas": 17000})).offers[GPU].devices[8:]


def test_devices_too_many_for_rules_that_worked_take_no_more_memory_than_a_list() -> None:
    """The list is refused as a whole, and the former one stays."""
    shared = rules({"replicas": 90000})
    found = advertise(FULL, shared, {GPU: shared})
    assert found.refusals == ()
    assert LIST_LIMIT < len(found.offers[GPU].devices) * 24 < 2 * LIST_LIMIT
