"""Names of resources that are split by a value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeplug.offers import OfferRule, make_offers
from nodeplug.offers.split import split_names
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from nodeplug.values.names import check_resource_name

GPU = "vendor.example/gpu"
LONG = f"vendor.example/{'p' * 50}"
values = st.text(max_size=64) | st.text(alphabet="aA1+ _-.", max_size=4)


@given(st.sets(values, min_size=2), st.sampled_from([GPU, LONG]))
def test_different_values_are_different_resources(found: set[str], name: str) -> None:
    """Whatever characters they have, however long they are; and each name is a valid one."""
    names = split_names(name, found)
    assert len(set(names.values())) == len(found)
    assert [check_resource_name(each) for each in names.values()]


@pytest.mark.parametrize("resource", [GPU, LONG])
def test_devices_of_different_values_are_never_in_one_resource(resource: str) -> None:
    """`A100+` is no `a100`, and what is cut at 63 characters was not the same."""
    models = ["A100+", "a100", "A 100", "geforce-rtx-4090-1", "geforce-rtx-4090-2", ""]
    devices = [
        Device(id=f"d{n}", resource=resource, attributes={"model": model})
        for n, model in enumerate(models)
    ]
    offers = make_offers(Inventory.of(devices), [OfferRule(resource=resource, split_by="model")])
    assert sorted(len(offer.devices) for offer in offers.values()) == [1] * len(models)


@pytest.mark.parametrize(
    ("value", "ending"),
    [("a100", "-a100"), ("Tesla T4", "-tesla-t4"), ("NVIDIA_A100-SXM4", "-nvidia-a100-sxm4")],
)
def test_a_plain_value_is_the_ending_of_the_name(value: str, ending: str) -> None:
    """Case, spaces and underscores may differ: nobody can tell them apart in a name."""
    assert split_names(GPU, {value, "other"})[value] == GPU + ending


def test_a_name_does_not_depend_on_what_else_is_there() -> None:
    """A pod that asks for it means the same on every node."""
    alone = split_names(GPU, {"A100+"})["A100+"]
    beside = split_names(GPU, {"A100+", "a100"})
    assert (beside["A100+"], beside["a100"]) == (alone, f"{GPU}-a100")
