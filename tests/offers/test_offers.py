"""Renaming, splitting, sharing."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from nodeplug.config.settings import AgentSettings
from nodeplug.offers import Offer, OfferRule, make_offers
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

GPU = "vendor.example/gpu"


def gpus(*models: str) -> Inventory:
    return Inventory.of(
        Device(id=f"gpu-{n}", resource=GPU, attributes={"model": model})
        for n, model in enumerate(models)
    )


def offered(inventory: Inventory, *rules: Mapping[str, Any]) -> dict[str, list[str]]:
    read = [msgspec.convert({"resource": GPU, **rule}, OfferRule) for rule in rules]
    return {
        name: [each.id for each in offer.devices]
        for name, offer in make_offers(inventory, read).items()
    }


def test_without_a_rule_a_resource_is_offered_as_it_is() -> None:
    """Nothing is needed for the usual case."""
    assert offered(gpus("a", "b")) == {GPU: ["gpu-0", "gpu-1"]}


def test_a_rule_renames_a_resource() -> None:
    """The former name is not offered beside it."""
    assert offered(gpus("a"), {"rename": "my.org/gpu"}) == {"my.org/gpu": ["gpu-0"]}


def test_a_rule_for_some_devices_leaves_the_others() -> None:
    """The first rule that matches holds."""
    rule = {"devices": {"model": "a*"}, "rename": "my.org/a"}
    assert offered(gpus("a1", "b", "a2"), rule) == {
        GPU: ["gpu-1"],
        "my.org/a": ["gpu-0", "gpu-2"],
    }


def test_a_split_makes_a_resource_of_each_value() -> None:
    """The value becomes part of the name, in characters that names may have."""
    assert offered(gpus("Tesla T4", "A100", "Tesla T4"), {"splitBy": "model"}) == {
        f"{GPU}-a100": ["gpu-1"],
        f"{GPU}-tesla-t4": ["gpu-0", "gpu-2"],
    }


def test_a_rule_may_hold_for_all_names_that_begin_alike() -> None:
    """Each keeps its own."""
    inventory = Inventory.of(Device(id=f"x{n}", resource=f"a.b/x{n}") for n in range(2))
    rule = {"resource": "a.b/x*", "replicas": 2, "markShared": True}
    assert offered(inventory, rule) == {
        "a.b/x0.shared": ["x0::0", "x0::1"],
        "a.b/x1.shared": ["x1::0", "x1::1"],
    }


def test_replicas_stand_under_ids_of_their_own() -> None:
    """Device, two colons, number."""
    assert offered(gpus("a"), {"replicas": 3}) == {GPU: ["gpu-0::0", "gpu-0::1", "gpu-0::2"]}


def test_a_node_serves_some_devices_whole_and_others_shared() -> None:
    """Per device, not per node."""
    whole = {"devices": {"id": "gpu-0"}}
    shared = {"replicas": 2, "markShared": True}
    assert offered(gpus("a", "a"), whole, shared) == {
        GPU: ["gpu-0"],
        f"{GPU}.shared": ["gpu-1::0", "gpu-1::1"],
    }


def test_a_resource_without_devices_is_offered_under_its_new_name() -> None:
    """Advertised with zero devices, not missing."""
    empty = Inventory.of([], resources=[GPU])
    assert offered(empty, {"rename": "my.org/gpu"}) == {"my.org/gpu": []}


@pytest.mark.parametrize("name", ["a.org/gpu", "z.org/gpu"])
def test_a_name_that_another_resource_has_is_not_given_again(name: str) -> None:
    """Two kinds of device never mix in one resource."""
    inventory = Inventory.of([*gpus("a").devices.values(), Device(id="x", resource=name)])
    assert offered(inventory, {"rename": name}) == {GPU: ["gpu-0"], name: ["x"]}


def test_a_rule_that_names_an_attribute_of_no_device_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A typo in an attribute leaves the rule without effect, and must not do so in silence."""
    offered(gpus("a"), {"devices": {"modell": "a"}})
    assert [r.getMessage() for r in caplog.records] == [
        "no device has the attribute that a rule names"
    ]


def test_a_shared_offer_refuses_several_only_when_told() -> None:
    """And only where it is shared at all."""

    def single(**rule: object) -> bool:
        read = msgspec.convert({"resource": GPU, **rule}, OfferRule)
        offer: Offer = make_offers(gpus("a"), [read])[GPU]
        return offer.single

    told = {"failRequestsGreaterThanOne": True}
    assert (single(**told), single(**told, replicas=2), single(replicas=2)) == (False, True, False)


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ([{"resource": GPU, "replicas": 0}], "Expected `int` >= 1 - at `$.offers[0].replicas`"),
        ([{"resource": "gpu"}], "needs the form <domain>/<name>"),
        ([{"resource": GPU, "rename": "UP/x"}], "needs a lower-case DNS domain"),
        ([{"resource": GPU, "policy": "best"}], "Invalid enum value 'best'"),
        ([{"resource": GPU, "devices": {"memory": "9..1"}}], "devices.memory: range '9..1'"),
        (
            [{"resource": GPU, "rename": "a.b/c"}, {"resource": "d.e/f", "rename": "a.b/c"}],
            "offers[1]: d.e/f and vendor.example/gpu would both be a.b/c",
        ),
        (
            [{"resource": GPU, "devices": {"x": "1"}, "inject": "cdi"}, {"resource": GPU}],
            f"offers[1].inject: another rule gives {GPU} with another inject",
        ),
        (
            [
                {"resource": GPU, "devices": {"x": "1"}, "policy": "packed"},
                {"resource": GPU, "devices": {"x": "2"}},
                {"resource": GPU, "policy": "spread"},
            ],
            f"offers[2].policy: another rule gives {GPU} with another policy",
        ),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rules: list[object], problem: str) -> None:
    """At the check, not at the first pod."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"offers": rules}, AgentSettings)
    assert problem in str(caught.value)


def test_a_rule_that_an_override_takes_the_place_of_contradicts_nothing() -> None:
    """Its entries come first: the one for this node means all devices."""
    rules = [{"resource": GPU, "policy": "spread"}, {"resource": GPU, "policy": "packed"}]
    assert len(msgspec.convert({"offers": rules}, AgentSettings).offers) == 2
