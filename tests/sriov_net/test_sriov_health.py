"""Why a device is Unhealthy."""

from typing import Any

import pytest

from nodeplug_sriov_net.adapters import address_of, function_place, intel_adapter
from nodeplug_sriov_net.candidates import Surroundings, candidates
from nodeplug_sriov_net.health import Vitals, reason_of
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.pools import Pools
from nodeplug_sriov_net.survey import Survey
from support.sriov_host import FakeHost, settings, watching

PF, VF = address_of(0), address_of(0, 0)
CARRIER, STATE, REPORTERS = ({key: True} for key in ("carrier", "linkState", "reporters"))


def reason(fake: FakeHost, health: dict[str, Any], vitals: Vitals | None = None) -> str:
    """Return why the one virtual function is Unhealthy."""
    found = candidates(Survey(fake.host.root).look(), Surroundings())
    pools = Pools(settings({"health": health}))
    (member,) = filter(None, (pools.member(each, Memory()) for each in found))
    return reason_of(member, vitals or Vitals())


@pytest.fixture
def host(fake: FakeHost) -> FakeHost:
    """Give a host with one virtual function."""
    intel_adapter(fake.tree, 0, functions=1)
    return fake


def without_carrier(fake: FakeHost) -> FakeHost:
    fake.tree.put(f"{function_place(0)}/net/ens1", carrier=0)
    return fake


@pytest.mark.parametrize("health", [{}, CARRIER, STATE, REPORTERS])
def test_a_sound_function_is_healthy(host: FakeHost, health: dict[str, Any]) -> None:
    """Whatever is asked for."""
    assert not reason(host, health)


def test_a_carrier_counts_only_if_it_is_asked_for(host: FakeHost) -> None:
    """A cable may be out for good reasons."""
    assert not reason(without_carrier(host), {})
    assert reason(host, CARRIER) == "ens1 has no carrier"


def test_a_port_that_is_down_is_named_as_such(host: FakeHost) -> None:
    """Its carrier cannot be read then."""
    host.tree.path(f"/sys{function_place(0)}/net/ens1/carrier").unlink()
    assert reason(host, CARRIER) == "ens1 is down"


@pytest.mark.parametrize(
    ("state", "carrier", "expected"),
    [
        ("auto", 1, ""),
        ("auto", 0, "ens1 has no carrier"),
        ("enable", 0, ""),
        ("disable", 1, "its link is disabled at ens1"),
    ],
)
def test_the_state_of_a_functions_link_is_as_its_owner_sets_it(
    host: FakeHost, state: str, carrier: int, expected: str
) -> None:
    """Functions of one adapter reach each other without a carrier if they are to."""
    host.tree.put(f"{function_place(0)}/net/ens1", carrier=carrier)
    assert reason(host, STATE, Vitals(states={(PF, 0): state})) == expected


@pytest.mark.parametrize("address", [PF, VF])
def test_a_failed_reporter_counts_for_function_and_owner(host: FakeHost, address: str) -> None:
    """If it is asked for."""
    vitals = Vitals(failed={address: ["fw_fatal"]})
    assert reason(host, REPORTERS, vitals) == f"health reporter fw_fatal of {address} is in error"
    assert not reason(host, {}, vitals)


async def test_a_carrier_that_is_back_makes_functions_healthy(host: FakeHost) -> None:
    """Without netlink too, at the next event or look."""
    wanted = settings({"health": CARRIER}, reconcileSeconds=0.02)
    async with watching(host.backend(wanted)) as inventories:
        without_carrier(host)
        assert not (await anext(inventories)).devices[VF].healthy
        host.tree.put(f"{function_place(0)}/net/ens1", carrier=1)
        assert (await anext(inventories)).devices[VF].healthy
