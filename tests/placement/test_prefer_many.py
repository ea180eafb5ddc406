"""Preferences where there are too many devices to compare each with each."""

import random
import time
import tracemalloc
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from nodeplug.offers import Offer, OfferedDevice
from nodeplug.placement import shortlist
from nodeplug.placement.aligned import choose_aligned
from nodeplug.placement.atlas import Atlas
from nodeplug.placement.prefer import prefer
from nodeplug.placement.shortlist import choose_of_many
from nodeplug.values.device import Device
from support.timed import timed

THOUSANDS = 10_000
LINKS = {(f"gpu{a}", f"gpu{b}"): 12 for a, b in ((0, 3), (1, 2), (4, 7), (5, 6))}


def device(device_id: str, numa: int, *location: str, parent: str = "") -> Device:
    return Device(
        id=device_id, resource="a.b/c", numa_nodes=(numa,), location=location, parent=parent
    )


def offer(
    *devices: Device, replicas: int = 1, links: Mapping[tuple[str, str], int] | None = None
) -> Offer:
    ids = [(f"{each.id}::{n}", each) for each in devices for n in range(replicas)]
    return Offer("a.b/c", tuple(OfferedDevice(*each) for each in ids), links=links or {})


def gpus() -> Offer:
    """Return eight GPUs, each shared by a thousand."""
    return offer(*(device(f"gpu{n}", n // 4) for n in range(8)), replicas=1000, links=LINKS)


def functions(of_bridge: int) -> Offer:
    """Return ten thousand devices, so many of them behind each bridge."""
    places = ((n, f"bridge{n // of_bridge:05}") for n in range(THOUSANDS))
    return offer(*(device(f"d{n:05}", n % 2, f"pci{n % 2}", bridge) for n, bridge in places))


def ids(given: Offer) -> list[str]:
    return [each.id for each in given.devices]


def of(chosen: Collection[str]) -> set[str]:
    return {device_id.partition("::")[0] for device_id in chosen}


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail if the block takes longer, counted as time of this thread: others may be busy."""
    started = time.thread_time()
    yield
    assert time.thread_time() - started < seconds


@timed
def test_a_preference_among_thousands_of_replicas_takes_20_ms() -> None:
    """R43: the kubelet admits no other pod meanwhile. From the start, nothing known before."""
    given = gpus()
    available = ids(given)
    with within(0.020):
        assert len(prefer(Atlas.of(given), "aligned", available, [], 8)) == 8


@timed
@pytest.mark.parametrize("of_bridge", [1, 4, 5000])
def test_a_preference_among_ten_thousand_devices_takes_50_ms(of_bridge: int) -> None:
    """However they are spread over the machine."""
    given = functions(of_bridge)
    available = ids(given)
    with within(0.050):
        assert len(prefer(Atlas.of(given), "aligned", available, [], 8)) == 8


def test_a_preference_among_thousands_of_replicas_takes_5_mib() -> None:
    """And not the hundreds that a table of all pairs would take."""
    given = gpus()
    available = ids(given)
    tracemalloc.start()
    try:
        prefer(Atlas.of(given), "aligned", available, [], 8)
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


def test_thousands_of_replicas_are_aligned_by_their_devices() -> None:
    """NUMA before links, links before anything else, and each device once."""
    given = gpus()
    found, available = Atlas.of(given), ids(given)
    assert of(prefer(found, "aligned", available, [], 2)) in ({"gpu0", "gpu3"}, {"gpu1", "gpu2"})
    assert of(prefer(found, "aligned", available, ["gpu5::7"], 2)) == {"gpu5", "gpu6"}
    assert of(prefer(found, "aligned", available, [], 4)) == {f"gpu{n}" for n in range(4)}
    every = prefer(found, "aligned", available, [], 20)
    counts = [sum(f"gpu{n}::" in each for each in every) for n in range(8)]
    assert sorted(counts) == [2, 2, 2, 2, 3, 3, 3, 3]
    assert {n // 4 for n, count in enumerate(counts) if count == 3} in ({0}, {1})


def test_the_smallest_place_with_enough_is_taken_from_thousands() -> None:
    """What is left behind serves those who want more."""
    crowd = [device(f"d{n:05}", n % 2, f"bridge{n // 8:05}") for n in range(8000)]
    pair = [device(f"pair{n}", 0, "small") for n in range(2)]
    found = Atlas.of(offer(*crowd, *pair))
    assert of(prefer(found, "aligned", found.position, [], 2)) == {"pair0", "pair1"}


def test_a_single_device_is_taken_from_thousands_where_it_tears_no_pair_apart() -> None:
    """As from few."""
    crowd = [device(f"d{n:05}", n % 2, f"bridge{n // 8:05}") for n in range(8000)]
    found = Atlas.of(offer(*crowd, device("lone", 2, "bridge")))
    assert of(prefer(found, "aligned", found.position, [], 1)) == {"lone"}


def test_thousands_follow_what_must_be_included() -> None:
    """R49: a device reused from an init container."""
    given = functions(of_bridge=4)
    chosen = prefer(Atlas.of(given), "aligned", ids(given), ["d07777::0"], 2)
    assert of(chosen) == {"d07777", "d07779"}


def test_as_many_as_nobody_compares_fill_places_up() -> None:
    """A whole NUMA node is close-knit by itself."""
    given = functions(of_bridge=4)
    chosen = prefer(Atlas.of(given), "aligned", ids(given), [], 4000)
    assert len({int(each[1:6]) % 2 for each in chosen}) == 1


@pytest.mark.parametrize("compared", [8, 128])
@given_by(data=st.data())
def test_any_request_to_many_gets_a_fitting_answer(compared: int, data: st.DataObject) -> None:
    """R50: the exact size, all that must be, nothing that is not free, whatever is cut off."""
    found = Atlas.of(_machine(random.Random(data.draw(st.integers(0, 9)))))
    positions = range(len(found.devices))
    free = {*data.draw(st.lists(st.sampled_from(positions), unique=True, min_size=1))}
    must = {*sorted(free)[: data.draw(st.integers(0, len(free)))]}
    size = data.draw(st.integers(len(must), len(free)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortlist, "COMPARED", compared)
        patch.setattr(shortlist, "_WANTED", compared // 2)
        chosen = choose_of_many(found, free, must, size)
    assert len({*chosen}) == len(chosen) == size
    assert must <= {*chosen} <= free


def test_many_wanted_besides_many_that_must_be_included_are_found() -> None:
    """As many as are compared at all."""
    given = functions(of_bridge=1)
    must = ids(given)[:60]
    chosen = prefer(Atlas.of(given), "aligned", ids(given), must, 124)
    assert len(chosen) == 124


def test_what_is_chosen_of_many_is_as_good_as_comparing_all() -> None:
    """Within two parts in a hundred, on machines of which all can be compared."""
    rng = random.Random(5)
    for _ in range(60):
        found = Atlas.of(_machine(rng))
        positions = range(len(found.devices))
        free = {*rng.sample(positions, len(positions) // 2)}
        size = rng.randint(1, 9)
        must = {*rng.sample(sorted(free), rng.choice((0, 1)) if size > 1 else 0)}
        best = _value(found, choose_aligned(found.weights, free, must, size))
        chosen = choose_of_many(found, free, must, size)
        assert len({*chosen}) == size
        assert must <= {*chosen} <= free
        assert _value(found, chosen) >= best - 0.02 * abs(best)


def _machine(rng: random.Random) -> Offer:
    count, nodes, switches = rng.randint(80, 240), rng.randint(1, 4), rng.randint(1, 40)
    devices = [
        device(
            f"d{n:03}",
            n * nodes // count,
            f"pci{n * nodes // count}",
            f"switch{n * switches // count}",
            parent=f"pf{n // 3}" if rng.random() < 0.3 else "",
        )
        for n in range(count)
    ]
    pairs = [sorted(rng.sample(range(count), 2)) for _ in range(rng.choice((0, 40)))]
    links = {(f"d{a:03}", f"d{b:03}"): rng.randint(1, 18) for a, b in pairs}
    return offer(*devices, links=links)


def _value(found: Atlas, chosen: Collection[int]) -> int:
    return sum(found.weights[one][other] for one in chosen for other in chosen)
