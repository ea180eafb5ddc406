"""However rules are combined, each device is offered once, or once for each replica."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from nodeplug.offers import OfferRule, make_offers
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

NATIVE = ("example.com/a", "example.com/b")
devices = st.lists(
    st.builds(
        lambda number, resource, model: Device(
            id=f"d{number}", resource=resource, attributes={"model": model}
        ),
        st.integers(0, 20),
        st.sampled_from(NATIVE),
        st.sampled_from(["x", "y y", "-"]),
    ),
    unique_by=lambda device: device.id,
)


def consistent(rules: list[OfferRule]) -> bool:
    """Whether a configuration may have these rules: no name stands for two resources."""
    names: dict[str, str] = {}
    return all(names.setdefault(r.public_name, r.resource) == r.resource for r in rules)


rules = st.lists(
    st.builds(
        lambda resource, model, rename, split, replicas, mark: OfferRule(
            resource=resource,
            devices={"model": model} if model else {},
            rename=rename,
            split_by="model" if split else "",
            replicas=replicas,
            mark_shared=mark,
        ),
        st.sampled_from(NATIVE),
        st.sampled_from(["", "x", "!x", "*"]),
        st.sampled_from(["", "example.com/c", "example.com/d", "example.com/b"]),
        st.booleans(),
        st.integers(1, 3),
        st.booleans(),
    ),
    max_size=4,
).filter(consistent)


@given(devices, rules)
@settings(deadline=None)
def test_each_device_is_offered_under_one_name(
    found: list[Device], applied: list[OfferRule]
) -> None:
    """With all its replicas together; a resource never mixes what two native ones have."""
    offers = make_offers(Inventory.of(found, resources=NATIVE), applied)
    places = [(e.device.id, name) for name, offer in offers.items() for e in offer.devices]
    assert {device_id for device_id, _ in places} == {device.id for device in found}
    assert len({device_id for device_id, _ in set(places)}) == len(set(places))
    ids = Counter(entry.id for offer in offers.values() for entry in offer.devices)
    assert set(ids.values()) <= {1}
    for offer in offers.values():
        assert {entry.device.resource for entry in offer.devices} <= {offer.native}


@given(devices, rules)
@settings(deadline=None)
def test_equal_input_makes_equal_offers(found: list[Device], applied: list[OfferRule]) -> None:
    """In whatever order the devices come."""
    one = make_offers(Inventory.of(found, resources=NATIVE), applied)
    two = make_offers(Inventory.of(reversed(found), resources=NATIVE), applied)
    assert one == two
