"""Rules that cannot hold, and rules that no device matches."""

from typing import Any

import msgspec
import pytest

from nodeplug.config.settings import AgentSettings
from nodeplug.operations.rules import idle, refused
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

GPU, NIC = "vendor.example/gpu", "vendor.example/nic"
FOUND = {
    "gpus": Inventory.of(
        Device(id=f"gpu-{n}", resource=GPU, attributes={"memory": 40, "model": f"m{n}"})
        for n in range(10)
    ),
    "nics": Inventory.of([], resources=[NIC]),
}


def settings(**keys: Any) -> AgentSettings:
    return msgspec.convert(keys, AgentSettings)


def why(*, all_known: bool = True, **keys: Any) -> list[tuple[str, str]]:
    found = idle(settings(**keys), FOUND, all_known=all_known)
    return [(each.place, each.why) for each in found]


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"resource": "vendor.example/cpu"}, "no backend has a resource vendor.example/cpu"),
        ({"resource": "other.example/*"}, "no backend has a resource other.example/*"),
        (
            {"resource": GPU, "devices": {"Memory": ">=40"}},
            f"no device of {GPU} has the attribute Memory",
        ),
        (
            {"resource": "vendor.example/*", "devices": {"memory": ">40"}},
            "matches none of the 10 devices of vendor.example/*",
        ),
        ({"resource": GPU, "splitBy": "modell"}, f"no device of {GPU} has the attribute modell"),
    ],
)
def test_a_rule_that_no_device_matches_is_named(rule: dict[str, Any], problem: str) -> None:
    """With its place, and why."""
    assert why(offers=[{"resource": GPU}, rule]) == [("offers[1]", problem)]


@pytest.mark.parametrize(
    ("devices", "problem"),
    [
        ({"ID": "gpu-1"}, "no device on this node has the attribute ID"),
        ({"id": "gpu-99"}, "matches none of the 10 devices on this node"),
        ({"id": "gpu-1", "model": "m2"}, "matches none of the 10 devices on this node"),
    ],
)
def test_a_quarantine_that_takes_nothing_out_is_named(
    devices: dict[str, Any], problem: str
) -> None:
    """The device that is meant stays in service."""
    assert why(quarantine=[{"devices": devices}]) == [("quarantine[0]", problem)]


@pytest.mark.parametrize(
    "keys",
    [
        {"offers": [{"resource": GPU, "devices": {"memory": ">=40"}, "splitBy": "model"}]},
        {"offers": [{"resource": "vendor.example/*"}, {"resource": NIC, "splitBy": "speed"}]},
        {"offers": [{"resource": NIC, "devices": {"speed": ">1"}}]},
        {"quarantine": [{"devices": {"id": "gpu-[12]"}}]},
    ],
)
def test_a_rule_with_an_effect_is_not_named(keys: dict[str, Any]) -> None:
    """Nor one for a resource that has no device now: nothing is known of those."""
    assert why(**keys) == []


def test_while_a_backend_is_not_known_it_may_have_what_is_meant() -> None:
    """What can be judged is all the same."""
    quarantine = [{"devices": {"id": "nic-1"}}]
    offers = [{"resource": "a.b/nic"}, {"resource": GPU, "devices": {"memory": 1}}]
    told = why(all_known=False, offers=offers, quarantine=quarantine)
    assert [place for place, _ in told] == ["offers[1]"]


def test_a_name_that_is_another_backend_s_is_named_before_it_is_wanted() -> None:
    """So is one that is none."""
    long = f"vendor.example/{'x' * 60}"
    wanted = settings(offers=[{"resource": GPU, "rename": NIC}, {"resource": long}])
    [(backend, refusal)] = refused(wanted, FOUND)
    assert (backend, refusal.detail) == (
        "gpus",
        f"{GPU} is not offered as {NIC}: that is a resource of backend nics",
    )


def test_without_any_device_no_rule_is_judged() -> None:
    """Hardware that is not there may have had any name."""
    wanted = settings(offers=[{"resource": "a.b/c"}], quarantine=[{"devices": {"id": "x"}}])
    assert list(idle(wanted, {"nics": FOUND["nics"]}, all_known=True)) == []


def test_a_name_that_rules_give_to_two_backends_is_the_first_one_s() -> None:
    """As the agent has it, which serves no name twice."""
    shared = {"resource": "vendor.example/g*", "replicas": 2, "markShared": True}
    renamed = {"resource": NIC, "rename": f"{GPU}.shared"}
    found = [(name, each.why) for name, each in refused(settings(offers=[shared, renamed]), FOUND)]
    assert found == [("nics", "that is a resource of backend gpus")]
