"""Which devices a container had best get."""

import itertools
import random
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeplug.offers import Offer, OfferedDevice, Policy
from nodeplug.placement.aligned import choose_aligned
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.prefer import prefer
from nodeplug.values.device import Device

POLICIES: tuple[Policy, ...] = ("aligned", "packed", "spread")


def atlas(*devices: Device, links: Mapping[tuple[str, str], int] | None = None) -> Atlas:
    offered = tuple(OfferedDevice(device.id, device) for device in devices)
    return Atlas.of(Offer("a.b/c", offered, links=links or {}))


def plain(device_id: str, numa: int = 0, parent: str = "", *location: str) -> Device:
    return Device(
        id=device_id, resource="a.b/c", numa_nodes=(numa,), parent=parent, location=location
    )


def shared(count: int, replicas: int) -> Atlas:
    offered = tuple(
        OfferedDevice(f"d{n}::{r}", plain(f"d{n}")) for n in range(count) for r in range(replicas)
    )
    return Atlas.of(Offer("a.b/c", offered))


def test_aligned_stays_on_one_numa_node() -> None:
    """NUMA comes before any link."""
    found = atlas(*(plain(f"d{n}", n % 2) for n in range(8)), links={("d0", "d1"): 18})
    assert prefer(found, "aligned", found.position, [], 4) == ["d0", "d2", "d4", "d6"]


def test_aligned_follows_links_within_a_node() -> None:
    """The pair with the strongest link."""
    found = atlas(*(plain(f"d{n}") for n in range(4)), links={("d0", "d3"): 4, ("d1", "d2"): 12})
    assert prefer(found, "aligned", found.position, [], 2) == ["d1", "d2"]


def test_aligned_follows_location_where_nothing_else_tells() -> None:
    """Devices behind one bridge."""
    found = atlas(
        plain("a", 0, "", "pci0", "bridge1"),
        plain("b", 0, "", "pci0", "bridge2"),
        plain("c", 0, "", "pci0", "bridge1"),
    )
    assert prefer(found, "aligned", found.position, [], 2) == ["a", "c"]


def test_a_single_device_is_taken_where_it_tears_no_pair_apart() -> None:
    """Later containers find the linked ones together."""
    found = atlas(*(plain(f"d{n}") for n in range(3)), links={("d0", "d1"): 12})
    assert prefer(found, "aligned", found.position, [], 1) == ["d2"]


def test_what_must_be_included_is() -> None:
    """A device reused from an init container (R49)."""
    found = atlas(*(plain(f"d{n}") for n in range(4)), links={("d0", "d3"): 4, ("d1", "d2"): 12})
    assert prefer(found, "aligned", found.position, ["d3"], 2) == ["d0", "d3"]


def test_packed_takes_children_of_the_parent_in_use() -> None:
    """VFs of one PF: the other PF stays whole."""
    devices = [plain(f"pf{p}-vf{v}", 0, f"pf{p}") for p in range(2) for v in range(3)]
    found = atlas(*devices)
    available = [device.id for device in devices if device.id != "pf1-vf0"]
    assert prefer(found, "packed", available, [], 2) == ["pf1-vf1", "pf1-vf2"]


def test_spread_takes_children_of_different_parents() -> None:
    """And of the one least used first."""
    devices = [plain(f"pf{p}-vf{v}", 0, f"pf{p}") for p in range(3) for v in range(3)]
    found = atlas(*devices)
    available = [device.id for device in devices if device.id != "pf0-vf0"]
    assert prefer(found, "spread", available, [], 2) == ["pf1-vf0", "pf2-vf0"]


@pytest.mark.parametrize("policy", POLICIES)
def test_replicas_of_different_devices_come_first(policy: Policy) -> None:
    """A second replica of the same device is of no use to the same container."""
    found = shared(3, 4)
    chosen = prefer(found, policy, found.position, [], 3)
    assert {device_id.partition("::")[0] for device_id in chosen} == {"d0", "d1", "d2"}


def test_packed_fills_the_device_that_others_use_already() -> None:
    """Whole devices stay free for those who need them."""
    found = shared(2, 3)
    available = [device_id for device_id in found.position if device_id != "d1::0"]
    assert prefer(found, "packed", available, [], 1) == ["d1::1"]


def test_spread_takes_the_device_that_nobody_uses() -> None:
    """Each container has as much of a device as there is."""
    found = shared(2, 3)
    available = [device_id for device_id in found.position if device_id != "d0::0"]
    assert prefer(found, "spread", available, [], 1) == ["d1::0"]


@pytest.mark.parametrize("policy", POLICIES)
@given(data=st.data())
def test_any_request_gets_a_fitting_answer_or_none(policy: Policy, data: st.DataObject) -> None:
    """R50: the exact size, all that must be, nothing that is not available; never an error."""
    found = shared(data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3)))
    ids = st.sampled_from([*found.position, "unknown"])
    available = data.draw(st.lists(ids, unique=True))
    must = data.draw(st.lists(ids, unique=True, max_size=3))
    size = data.draw(st.integers(-1, 14))
    chosen = prefer(found, policy, available, must, size)
    assert chosen == prefer(found, policy, available[::-1], must[::-1], size)
    if chosen:
        assert len(set(chosen)) == size
        assert set(must) <= set(chosen) <= set(available)


def test_aligned_is_as_good_as_trying_everything() -> None:
    """On machines of the size where everything can be tried, within one part in a hundred."""
    rng = random.Random(7)
    for _ in range(40):
        links = {}
        for _ in range(24):
            one, other = sorted(rng.sample(range(12), 2))
            links[f"d{one:02}", f"d{other:02}"] = rng.randint(1, 18)
        found = atlas(*(plain(f"d{n:02}", n // 6) for n in range(12)), links=links)
        size = rng.randint(2, 6)
        free = set(rng.sample(range(12), rng.randint(size, 12)))
        best = max(value(found, c) for c in itertools.combinations(sorted(free), size))
        assert value(found, choose_aligned(found.weights, free, set(), size)) >= 0.99 * best


def value(found: Atlas, chosen: Iterable[int]) -> int:
    positions = list(chosen)
    return sum(found.weights[one][other] for one in positions for other in positions)
