"""One resource's list: what it shows, when it changes, what it refuses."""

import asyncio
import time

import pytest
from msgspec.structs import replace

from nodeplug.holdings import Holdings
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.translate import encode_listed
from nodeplug.offers import LIST_LIMIT
from nodeplug.pool import ResourcePool
from nodeplug.values.errors import ListTooLargeError, UnhealthyDeviceError, UnknownDeviceError
from nodeplug.values.hardware import EXCLUSIVE
from support.listing import RESOURCE, device, healths, listing, offer


@pytest.fixture
def holdings() -> Holdings:
    return Holdings()


@pytest.fixture
def pool(holdings: Holdings) -> ResourcePool:
    return ResourcePool(RESOURCE, holdings, encode_listed)


def test_the_list_is_in_order_of_id_whatever_the_offer_s_order(pool: ResourcePool) -> None:
    """Equal truths give equal lists."""
    pool.replace(offer(device("b"), device("a")))
    assert [entry.id for entry in pool.snapshot.devices] == ["a", "b"]


def test_the_payload_is_the_message_the_kubelet_decodes(pool: ResourcePool) -> None:
    """Joined entries are one ListAndWatchResponse (R21)."""
    pool.replace(offer(device("a", numa=1), device("b", sick="hot")))
    decoded = api.ListAndWatchResponse.FromString(pool.snapshot.payload)
    assert [(d.ID, d.health, [n.ID for n in d.topology.nodes]) for d in decoded.devices] == [
        ("a", "Healthy", [1]),
        ("b", "Unhealthy", [0]),
    ]


def test_an_equal_truth_makes_no_new_version(pool: ResourcePool) -> None:
    """Nothing is sent twice (R26)."""
    pool.replace(offer(device("a")))
    version = pool.snapshot.version
    pool.replace(offer(device("a")))
    assert pool.snapshot.version == version


def test_a_pool_without_devices_still_has_a_first_version(pool: ResourcePool) -> None:
    """An empty list is a list: the resource is advertised with zero devices (R21)."""
    pool.replace(offer())
    assert (pool.snapshot.version, pool.snapshot.payload) == (1, b"")


async def test_every_reader_sees_a_change(pool: ResourcePool) -> None:
    """Readers are independent; none steals another's update (R24)."""
    pool.replace(offer(device("a")))
    readers = [asyncio.create_task(pool.newer_than(pool.snapshot.version)) for _ in range(3)]
    await asyncio.sleep(0)
    pool.replace(offer(device("a", sick="hot")))
    assert {snapshot.version for snapshot in await asyncio.gather(*readers)} == {2}


def test_a_vanished_id_stays_listed_with_its_numa_node(pool: ResourcePool) -> None:
    """R33: the kubelet may be holding it."""
    pool.replace(offer(device("a", numa=1), device("b")))
    pool.replace(offer(device("b")))
    gone = pool.snapshot.devices[0]
    assert (gone.id, gone.reason, gone.numa_nodes) == ("a", "gone", (1,))


def test_a_vanished_id_leaves_once_a_later_listing_shows_it_free(
    pool: ResourcePool, holdings: Holdings
) -> None:
    """A tombstone lasts until there is evidence, not longer."""
    pool.replace(offer(device("a"), device("b")))
    pool.replace(offer(device("b")))
    holdings.observe(listing(started=time.monotonic()))
    pool.recheck()
    assert healths(pool) == {"b": "ok"}


def test_a_listing_begun_before_the_device_vanished_proves_nothing(
    pool: ResourcePool, holdings: Holdings
) -> None:
    """The kubelet may have given it away in between."""
    before = time.monotonic()
    pool.replace(offer(device("a")))
    pool.replace(offer())
    holdings.observe(listing(started=before))
    pool.recheck()
    assert healths(pool) == {"a": "gone"}


def test_a_held_id_stays_listed_as_long_as_it_is_held(
    pool: ResourcePool, holdings: Holdings
) -> None:
    """R33 again, over any number of listings."""
    pool.replace(offer(device("a")))
    pool.replace(offer())
    for _ in range(3):
        holdings.observe(listing(held=[(RESOURCE, "a")], started=time.monotonic()))
        pool.recheck()
    assert healths(pool) == {"a": "gone"}


def test_an_id_held_since_before_our_start_is_listed(
    pool: ResourcePool, holdings: Holdings
) -> None:
    """A container may hold a device that vanished while no agent ran."""
    holdings.observe(listing(held=[(RESOURCE, "old")], started=time.monotonic()))
    pool.recheck()
    pool.replace(offer(device("a")))
    assert healths(pool) == {"a": "ok", "old": "gone"}


def test_endless_hot_plug_of_new_ids_does_not_grow_the_list_without_end(
    pool: ResourcePool, holdings: Holdings
) -> None:
    """Also where the kubelet tells nothing; what was handed out is kept all the same."""
    pool.replace(offer(device("given")))
    with holdings.allocating(RESOURCE, ["given"]):
        pass
    for number in range(1050):
        pool.replace(offer(device(f"d{number}")))
    assert len(pool.snapshot.devices) == 1001
    assert healths(pool)["given"] == "gone"


def test_a_device_that_returns_is_healthy_again(pool: ResourcePool) -> None:
    """Unplugged and plugged again."""
    pool.replace(offer(device("a")))
    pool.replace(offer())
    pool.replace(offer(device("a")))
    assert healths(pool) == {"a": "ok"}


def test_a_device_moved_to_another_resource_waits_there_until_it_is_free(
    pool: ResourcePool, holdings: Holdings
) -> None:
    """The kubelet's in-use set is per resource: healthy in both would be given away twice."""
    other = ResourcePool("example.com/other", holdings, encode_listed)
    pool.replace(offer(device("a")))
    pool.replace(offer())
    other.replace(offer(device("a", "example.com/other"), resource="example.com/other"))
    waiting = healths(other)
    holdings.observe(listing(started=time.monotonic()))
    other.recheck()
    assert (waiting, healths(other)) == ({"a": f"in use as a of {RESOURCE}"}, {"a": "ok"})


def test_a_device_held_under_a_former_name_waits_after_a_restart_too(holdings: Holdings) -> None:
    """A fresh agent knows from pod resources alone."""
    holdings.observe(listing(held=[("example.com/former", "a")], started=time.monotonic()))
    pool = ResourcePool(RESOURCE, holdings, encode_listed)
    pool.replace(offer(device("a")))
    assert healths(pool) == {"a": "in use as a of example.com/former"}


def test_a_condemned_pool_is_unhealthy_until_the_next_truth(pool: ResourcePool) -> None:
    """A backend that stays away takes its devices out of service, and back."""
    pool.replace(offer(device("a")))
    pool.condemn("backend down")
    condemned = healths(pool)
    pool.replace(offer(device("a")))
    assert (condemned, healths(pool)) == ({"a": "backend down"}, {"a": "ok"})


def test_a_suspect_is_unhealthy_until_its_time_is_over(pool: ResourcePool) -> None:
    """R42: a device that could not be handed out is offered again later."""
    pool.replace(offer(device("a"), device("b")))
    pool.suspect({"a"}, "allocation failed", 60)
    suspected = healths(pool)
    pool.suspect({"a"}, "allocation failed", 0)
    assert (suspected["a"], healths(pool)["a"]) == ("allocation failed", "ok")


def test_a_suspicion_ends_with_news_of_the_device_alone(pool: ResourcePool) -> None:
    """What the backend sees counts more than what failed before."""
    pool.replace(offer(device("a"), device("b")))
    pool.suspect({"a"}, "allocation failed", 60)
    pool.replace(offer(device("a"), device("b", sick="lost")))
    suspected = healths(pool)
    pool.replace(offer(device("a", sick="lost"), device("b", sick="lost")))
    pool.replace(offer(device("a"), device("b")))
    assert (suspected["a"], healths(pool)["a"]) == ("allocation failed", "ok")


def test_a_backend_that_named_the_device_at_fault_is_believed_at_its_next_word(
    pool: ResourcePool,
) -> None:
    """It has looked at that device itself."""
    pool.replace(offer(device("a"), device("b")))
    pool.suspect({"a"}, "allocation failed", 60, certain=True)
    suspected = healths(pool)
    pool.replace(offer(device("a"), device("b")))
    assert (suspected["a"], healths(pool)["a"]) == ("allocation failed", "ok")


def test_an_id_that_has_gone_is_no_suspect(pool: ResourcePool) -> None:
    """A request may fail long after its devices are gone."""
    pool.replace(offer(device("a")))
    pool.suspect({"gone"}, "allocation failed", 60)
    pool.replace(offer(device("a"), device("gone")))
    assert healths(pool) == {"a": "ok", "gone": "ok"}


def test_a_list_beyond_the_limit_is_refused_and_the_previous_one_stays(pool: ResourcePool) -> None:
    """R22: the kubelet would end the stream and zero the resource."""
    pool.replace(offer(device("a")))
    many = LIST_LIMIT // 60
    with pytest.raises(ListTooLargeError, match=r"example.com/thing: .* the limit is 3670016"):
        pool.replace(offer(*(device(f"{'x' * 40}-{n:06}") for n in range(many))))
    assert healths(pool) == {"a": "ok"}


def test_a_refused_list_buries_nothing(pool: ResourcePool, holdings: Holdings) -> None:
    """Nothing is half applied."""
    pool.replace(offer(device("a")))
    with pytest.raises(ListTooLargeError):
        pool.replace(offer(*(device(f"{'x' * 40}-{n:06}") for n in range(LIST_LIMIT // 60))))
    assert not holdings.is_buried(RESOURCE, "a")


def test_a_long_list_gives_way_to_another_one(pool: ResourcePool) -> None:
    """Both would fit, not both at once: what nobody was given need not stay listed."""
    for name in ("x", "y"):
        pool.replace(offer(*(device(f"{name * 40}-{n:06}") for n in range(LIST_LIMIT // 70))))
    assert pool.trouble == ""
    assert healths(pool)[f"{'y' * 40}-000000"] == "ok"


def test_resolving_gives_each_device_once_in_order(pool: ResourcePool) -> None:
    """R41: ids come unordered; R46: the same id may come twice."""
    pool.replace(offer(device("b"), device("a")))
    assert [entry.id for entry in pool.resolve(["b", "a", "b"])] == ["a", "b"]


def test_resolving_an_unknown_id_names_it(pool: ResourcePool) -> None:
    """The operator reads this in the pod's events."""
    pool.replace(offer(device("a")))
    with pytest.raises(UnknownDeviceError, match=r"example.com/thing has no device 'zzz'"):
        pool.resolve(["a", "zzz"])


def test_resolving_a_sick_device_gives_the_reason(pool: ResourcePool) -> None:
    """The kubelet's view may be older than ours."""
    pool.replace(offer(device("a", sick="too hot")))
    with pytest.raises(UnhealthyDeviceError, match=r"device a of example.com/thing .* too hot"):
        pool.resolve(["a"])


def test_a_hold_that_keeps_back_only_its_own_device_is_waited_for(
    pool: ResourcePool, holdings: Holdings
) -> None:
    """Of what a device in use has become, another is offered, even a sick one: until it is free."""
    holdings.offer("example.com/other", {"b": False}, {"b": {"char 60:1": EXCLUSIVE}})
    before, after = ({"a": {f"char 60:{n}": EXCLUSIVE}} for n in range(2))
    pool.replace(replace(offer(device("a")), uses=before))
    with holdings.allocating(RESOURCE, ["a"]):
        pass
    holdings.observe(listing(held=[(RESOURCE, "a")], started=time.monotonic()))
    pool.replace(replace(offer(device("a")), uses=after))
    assert healths(pool) == {"a": "shares char 60:1 with b of example.com/other"}
    assert holdings.waiting() == {(RESOURCE, "a")}
