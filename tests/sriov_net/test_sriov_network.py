"""Real links, in a network namespace of our own, and what the kubelet is told of them."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from nodeplug.host.identities import Identities
from nodeplug_sriov_net.adapters import address_of, function_place, intel_adapter
from nodeplug_sriov_net.backend import SriovNetBackend
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.network import Network
from nodeplug_sriov_net.plugin import build
from support.network import Cable, another_network, ip, private_network
from support.rtnl import held_rtnl
from support.sriov_host import POOL, FakeHost, discover, settings
from support.sriov_stage import served
from support.timed import on_this_machine, timed

VF0, VF1 = address_of(0, 0), address_of(0, 1)
OTHER = "example.com/other"
CARRIER = {"health": {"carrier": True}}


@pytest.fixture
def cabled(fake: FakeHost) -> Iterator[FakeHost]:
    """Give a host with an adapter of two functions whose links are real."""
    with private_network():
        intel_adapter(fake.tree, 0, functions=2, driver="ice-vf")
        Cable(fake, 2)
        yield fake


def _descriptors() -> Counter[str]:
    """Count the open descriptors by what they are of; others may close meanwhile."""
    found: Counter[str] = Counter()
    for each in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found[str(each.readlink())] += 1
    return found


def listening(*pools: dict[str, Any]) -> Any:
    return settings(*pools, netlink="on")


async def test_a_lost_carrier_makes_functions_unhealthy_until_it_is_back(cabled: FakeHost) -> None:
    """Where the pool asks for a carrier."""
    async with served(cabled, listening(CARRIER)) as play:
        await play.healthy(VF0, VF1)
        ip("link set far-ens1 down")
        await play.healthy()
        ip("link set far-ens1 up")
        await play.healthy(VF0, VF1)


async def test_a_physical_function_that_is_down_has_no_carrier(cabled: FakeHost) -> None:
    """Its functions have no link then."""
    async with served(cabled, listening(CARRIER)) as play:
        await play.healthy(VF0, VF1)
        ip("link set ens1 down")
        await play.healthy()


async def test_a_lost_carrier_does_no_harm_unasked(cabled: FakeHost) -> None:
    """The change of another pool's devices, which comes after, comes alone."""
    pools = listening(
        {"selectors": [{"pfNames": ["ens1#0"]}]}, {"name": OTHER, "health": {"carrier": True}}
    )
    async with served(cabled, pools) as play:
        await play.healthy(VF1, resource=OTHER)
        ip("link set far-ens1 down")
        await play.healthy(resource=OTHER)
        await play.healthy(VF0)


async def test_a_renamed_physical_function_is_selected_by_its_new_name(cabled: FakeHost) -> None:
    """Functions go from pool to pool."""
    pools = listening(
        {"selectors": [{"pfNames": ["ens1"]}]},
        {"name": OTHER, "selectors": [{"pfNames": ["uplink"]}]},
    )
    async with served(cabled, pools) as play:
        await play.healthy(VF0, VF1)
        ip("link set ens1 down", "link set ens1 name uplink")
        await play.healthy(VF0, VF1, resource=OTHER)
        await play.healthy()


async def test_a_link_in_another_namespace_is_in_use_and_not_gone(cabled: FakeHost) -> None:
    """A function selected by the name of its network device stays in its pool."""
    pools = listening(
        {"selectors": [{"netdevs": ["ens1v0"]}]},
        {"name": OTHER, "selectors": [{"netdevs": ["ens1v1"]}]},
    )
    async with served(cabled, pools) as play:
        await play.healthy(VF0)
        with another_network() as pod:
            ip(f"link set ens1v0 netns {pod}", "link set ens1v1 down", "link set ens1v1 name other")
            await play.healthy(resource=OTHER)
            await play.healthy(VF0)


@pytest.mark.parametrize(
    ("come", "go"),
    [
        ("route add default dev ens1v0", "route del default dev ens1v0"),
        ("route add ::/0 dev ens1v0", "route del ::/0 dev ens1v0"),
        ("route add default table 77 dev ens1v0", "route del default table 77 dev ens1v0"),
        (
            "route add default nexthop dev far-ens1 nexthop dev ens1v0",
            "route del default nexthop dev far-ens1 nexthop dev ens1v0",
        ),
        (
            "route add ::/0 nexthop via fe80::1 dev far-ens1 nexthop via fe80::2 dev ens1v0",
            "route del ::/0",
        ),
        ("route add 128.0.0.0/1 dev ens1v0", "route del 128.0.0.0/1"),
        ("route add 2000::/3 dev ens1v0", "route del 2000::/3"),
    ],
    ids=["IPv4", "IPv6", "policy", "multipath IPv4", "multipath IPv6", "half", "all public IPv6"],
)
async def test_a_function_with_a_default_route_is_not_advertised(
    cabled: FakeHost, come: str, go: str
) -> None:
    """As soon as the route is there, and until it is gone."""
    async with served(cabled, listening({})) as play:
        await play.healthy(VF0, VF1)
        ip(come)
        await play.healthy(VF1)
        ip(go)
        await play.healthy(VF0, VF1)


async def test_a_port_of_a_bridge_with_a_default_route_is_not_advertised(
    cabled: FakeHost,
) -> None:
    """The route leads out of it all the same."""
    async with served(cabled, listening({})) as play:
        await play.healthy(VF0, VF1)
        ip("link add br0 type bridge", "link set br0 up", "route add default dev br0")
        ip("link set ens1v0 master br0")
        await play.healthy(VF1)
        ip("link set ens1v0 nomaster")
        await play.healthy(VF0, VF1)


async def test_a_pair_of_links_leads_into_the_bridge_of_its_other_end(cabled: FakeHost) -> None:
    """So hosts are connected to a bridge that has no address of its own."""
    async with served(cabled, listening({})) as play:
        await play.healthy(VF0, VF1)
        ip("link add br0 type bridge", "link set br0 up", "link set ens1v0 master br0")
        ip("link add host0 type veth peer name host1", "link set host1 master br0 up")
        ip("link set host0 up", "route add default dev host0")
        await play.healthy(VF1)
        ip("link set host1 nomaster")
        await play.healthy(VF0, VF1)


async def test_an_uplink_that_loses_its_driver_is_known_when_it_has_one_again(
    cabled: FakeHost,
) -> None:
    """Its link is there before its route."""
    memory, place = Memory(), function_place(0, 0)

    async def advertised() -> set[str]:
        backend = SriovNetBackend(listening({}), cabled.host, memory)
        return {*(await discover(backend)).devices}

    ip("route add default dev ens1v0")
    assert await advertised() == {VF1}
    ip("link set ens1v0 down")
    cabled.tree.driver(place, "")
    await advertised()
    cabled.tree.driver(place, "ice-vf")
    assert await advertised() == {VF1}


async def test_an_uplink_that_goes_down_is_not_advertised_meanwhile(cabled: FakeHost) -> None:
    """The kernel drops its route, and puts it back never: the administrator's daemons do."""
    ip("route add default dev ens1v0")
    async with served(cabled, listening(CARRIER)) as play:
        await play.healthy(VF1)
        ip("link set ens1v0 down", "link set ens1 down")
        await play.healthy()
        ip("link set ens1 up")
        await play.healthy(VF1)


async def test_an_uplink_that_is_down_is_known_after_a_restart(
    cabled: FakeHost, tmp_path: Path
) -> None:
    """An agent that starts meanwhile has never seen its route."""

    async def advertised() -> set[str]:
        host = replace(cabled.host, identities=Identities(tmp_path / "identities.json"))
        return {*(await discover(build(listening({}), host, None))).devices}

    ip("route add default dev ens1v0")
    assert await advertised() == {VF1}
    ip("link set ens1v0 down")
    assert await advertised() == {VF1}
    ip("link set ens1v0 up")
    assert await advertised() == {VF0, VF1}


@pytest.mark.parametrize(("via", "target"), [("", "default"), ("via fe80::1 ", "::/0")])
async def test_a_route_by_next_hop_objects_is_heard(
    cabled: FakeHost, via: str, target: str
) -> None:
    """Where routes name no links (nexthop_compat_mode 0): each hop of a group, and exchanges."""
    Path("/proc/sys/net/ipv4/nexthop_compat_mode").write_text("0")
    async with served(cabled, listening({})) as play:
        await play.healthy(VF0, VF1)
        ip(f"nexthop add id 1 {via}dev ens1v0", f"nexthop add id 2 {via}dev ens1")
        ip("nexthop add id 9 group 2/1", f"route add {target} nhid 9")
        await play.healthy(VF1)
        ip(f"nexthop replace id 1 {via}dev ens1v1")
        await play.healthy(VF0)
        ip("nexthop replace id 9 group 2")
        await play.healthy(VF0, VF1)


async def test_other_names_of_a_link_select_it(cabled: FakeHost) -> None:
    """The name that a link had before, say, which udev keeps so."""
    ip("link property add dev ens1 altname enp59s0f0", "link property add dev ens1v1 altname pod1")
    pools = (
        {"selectors": [{"netdevs": ["pod1"]}]},
        {"name": OTHER, "selectors": [{"pfNames": ["enp59s0f0#0"]}]},
    )
    found = await discover(cabled.backend(listening(*pools)))
    assert {each.id: each.resource for each in found.devices.values()} == {VF0: OTHER, VF1: POOL}


async def test_the_speed_of_a_link_is_asked_of_its_driver(cabled: FakeHost) -> None:
    """That of veth says 10 Gbit/s, whatever a file says."""
    found = await discover(cabled.backend(listening({"selectors": [{"minSpeedMbps": 10_000}]})))
    assert {each.attributes["speedMbps"] for each in found.devices.values()} == {10_000}


async def test_an_overflow_of_netlink_is_survived(
    cabled: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Thousands of changes while the loop is busy; what comes after is heard as ever."""
    async with served(cabled, listening(CARRIER)) as play:
        await play.healthy(VF0, VF1)
        ip(*("link set far-ens1v1 down", "link set far-ens1v1 up") * 3000, "link set far-ens1 down")
        await play.healthy()
        ip("link set far-ens1 up")
        await play.healthy(VF0, VF1)
    assert "netlink messages lost" in caplog.messages
    assert "backend failed" not in caplog.messages


@timed
async def test_a_held_rtnl_lock_holds_up_nobody(cabled: FakeHost) -> None:
    """Also where the kernel is asked something just then; after it all is as it should be."""
    place, state = function_place(0, 1), {"health": {"linkState": True}}
    async with served(cabled, listening(state)) as play:
        await play.healthy(VF0, VF1)
        ip("link set ens1 alias asks", "link set far-ens1 alias asks")
        with held_rtnl():
            started = time.perf_counter()
            cabled.tree.driver(place, "")
            cabled.tree.tell("unbind", place)
            await play.healthy(VF0)
            cabled.tree.driver(place, "ice-vf")
            cabled.tree.tell("bind", place)
            await play.healthy(VF0, VF1)
            took = time.perf_counter() - started
        ip("link set far-ens1 down")
        await play.healthy()
    assert took < on_this_machine(2)


async def test_lost_messages_are_made_up_for(
    cabled: FakeHost, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """More changes than the socket holds, while nobody reads, leave the last state known."""
    monkeypatch.setattr("nodeplug_sriov_net.network.BUFFER", 4096)
    async with served(cabled, listening(CARRIER)) as play:
        await play.healthy(VF0, VF1)
        ip(*("link set far-ens1v1 down", "link set far-ens1v1 up") * 100, "link set far-ens1 down")
        await play.healthy()
    assert "netlink messages lost" in caplog.messages


@timed
async def test_a_change_reaches_the_kubelet_within_the_promise(cabled: FakeHost) -> None:
    """Starting ip(8) included; on a busy machine, the quickest of twenty tell."""
    figures = []
    async with served(cabled, listening(CARRIER)) as play:
        await play.healthy(VF0, VF1)
        for _ in range(10):
            for state, ids in (("down", ()), ("up", (VF0, VF1))):
                started = time.perf_counter()
                ip(f"link set far-ens1 {state}")
                await play.healthy(*ids)
                figures.append(time.perf_counter() - started)
    assert sorted(figures)[5] < on_this_machine(0.050)


async def test_links_of_pods_keep_nobody_busy(cabled: FakeHost) -> None:
    """They come and go by the hundred; none has to do with a function or a default route."""
    marks: asyncio.Queue[object] = asyncio.Queue()
    ip("route add default dev ens1")
    network = Network(cabled.host.root, marks.put_nowait)
    await network.open()
    await network.refresh()
    network.follow({100, 101, 102})
    ip("link add br0 type bridge", "link add pod0 type veth peer name pod1", "link set pod0 up")
    ip("link set pod0 master br0", "link del pod0", "link set ens1v1 mtu 1400 alias x")
    ip("link set ens1v1 down")
    first = await marks.get()
    network.close()
    assert first == [VF1]


async def test_the_end_leaves_no_descriptor_behind(cabled: FakeHost) -> None:
    """Neither of netlink nor of anything else."""
    before = _descriptors()
    await discover(cabled.backend(listening({})))
    await asyncio.sleep(0)
    assert not _descriptors() - before


async def test_an_automatic_link_follows_the_carrier_of_its_owner(cabled: FakeHost) -> None:
    """The physical function is asked how the links of its functions are set."""
    async with served(cabled, listening({"health": {"linkState": True}})) as play:
        await play.healthy(VF0, VF1)
        ip("link set far-ens1 down")
        await play.healthy()
        ip("link set far-ens1 up")
        await play.healthy(VF0, VF1)


async def test_health_reporters_that_cannot_be_asked_do_no_harm(cabled: FakeHost) -> None:
    """An older kernel, or one without devlink: the log says so, if it is so."""
    pool = {"health": {"reporters": True}, "selectors": [{"ddpProfiles": ["!none"]}]}
    async with served(cabled, listening(pool)) as play:
        await play.healthy(VF0, VF1)


async def test_a_pool_that_wants_a_package_takes_no_function_without(cabled: FakeHost) -> None:
    """And links of veth have none."""
    pool = {"selectors": [{"ddpProfiles": ["ICE COMMS Package"]}]}
    async with served(cabled, listening(pool, {"name": OTHER})) as play:
        await play.healthy(VF0, VF1, resource=OTHER)
        await play.healthy()
