"""Which network devices carry default routes, as /proc and /sys tell it."""

import msgspec
import pytest

from nodeplug.host.host import open_host
from nodeplug.host.sysfs import device_at
from nodeplug_sriov_net.adapters import address_of, intel_adapter, mellanox_adapter
from nodeplug_sriov_net.changes import addresses_in
from nodeplug_sriov_net.explain import explain
from nodeplug_sriov_net.facts import Link
from nodeplug_sriov_net.findings import findings
from nodeplug_sriov_net.pools import UPLINK
from nodeplug_sriov_net.uplinks import read_uplinks, uplinks_among
from support.needs import require
from support.sriov_host import FakeHost, settings, until, watching

V4_HEAD = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n"
ZERO = "0" * 32


def routes(fake: FakeHost, *ipv4: str, ipv6: str = "") -> None:
    folder = fake.folder / "proc/net"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "route").write_text(V4_HEAD + "".join(f"{line}\n" for line in ipv4))
    (folder / "ipv6_route").write_text(ipv6)


def ipv4(name: str, target: str = "00000000", mask: str = "00000000") -> str:
    return f"{name}\t{target}\t0100A8C0\t0003\t0\t0\t100\t{mask}\t0\t0\t0"


def ipv6(name: str, target: str = ZERO, length: str = "00", flags: str = "00000003") -> str:
    fields = (target, length, ZERO, "00", ZERO, "00000400", "1", "0", flags)
    return f"{' '.join(fields)} {name:>8}\n"


def test_default_routes_of_both_families_count(fake: FakeHost) -> None:
    """And no other routes."""
    routes(
        fake,
        ipv4("eth0"),
        ipv4("eth1", "0000A8C0", "0000FFFF"),
        ipv4("eth2", "0000000A", "000000FF"),
        ipv6=ipv6("eth3") + ipv6("eth4", f"fe80{ZERO[4:]}", "40"),
    )
    assert read_uplinks(fake.host.root) == {"eth0", "eth3"}


def test_routes_to_half_of_the_world_are_default_routes(fake: FakeHost) -> None:
    """Tunnels and routers put them before a default route, or in its place."""
    half, public = f"8{ZERO[1:]}", f"2{ZERO[1:]}"
    routes(
        fake,
        ipv4("eth0", mask="00000080"),
        ipv4("eth1", "00000080", "00000080"),
        ipv6=ipv6("eth2", half, "01") + ipv6("eth3", public, "03") + ipv6("eth4", half, "04"),
    )
    assert read_uplinks(fake.host.root) == {"eth0", "eth1", "eth2", "eth3"}


def test_what_netlink_does_not_tell_of_a_link_sysfs_does(fake: FakeHost) -> None:
    """What a VXLAN lies upon, or what an HSR ring has."""
    fake.tree.put("/class/net/vxlan7/lower_bond0")
    fake.tree.put("/class/net/bond0/lower_ens1")
    assert read_uplinks(fake.host.root, {"vxlan7"}) == {"vxlan7", "bond0", "ens1"}


def test_a_tunnel_is_told_of(fake: FakeHost) -> None:
    """What WireGuard sends leaves by whatever routes say, which may be served."""
    for name, below in (("wg0", "mtu"), ("ens1", "device"), ("bond0", "lower_ens1")):
        fake.tree.put(f"/class/net/{name}/{below}")
        fake.tree.put(f"/class/net/{name}/ifindex")
    routes(fake, ipv4("wg0"), ipv4("ens1"), ipv4("bond0"))
    told = findings(settings(), fake.host.root)
    assert [each.subject for each in told if "lies upon" in each.finding] == ["wg0"]


def test_a_route_leads_through_vlan_and_bond_to_its_ports(fake: FakeHost) -> None:
    """All the way down."""
    routes(fake, ipv4("bond0.7"))
    for name, lower in (("bond0.7", "bond0"), ("bond0", "ens1"), ("bond0", "ens2")):
        fake.tree.put(f"/class/net/{name}/lower_{lower}")
    assert read_uplinks(fake.host.root) == {"bond0.7", "bond0", "ens1", "ens2"}


def test_a_device_whose_name_is_no_unicode_hides_no_default_route(fake: FakeHost) -> None:
    """The kernel takes nearly any bytes; an uplink that is not known could be given away."""
    routes(fake, ipv4("ens1"))
    table = fake.folder / "proc/net/route"
    table.write_bytes(table.read_bytes() + ipv4("x").encode().replace(b"x", b"\xff\xfe") + b"\n")
    assert read_uplinks(fake.host.root) == {"ens1", "\udcff\udcfe"}


@pytest.mark.parametrize("text", ["", "rubbish", "\0\n\xff", V4_HEAD])
def test_what_is_no_table_of_routes_has_none(fake: FakeHost, text: str) -> None:
    """An unreadable file is no reason to fail."""
    routes(fake)
    (fake.folder / "proc/net/route").write_text(text, encoding="latin-1")
    assert not read_uplinks(fake.host.root)


def test_netlink_tells_of_ports_and_of_what_lies_below() -> None:
    """A VLAN on a bond of two ports; a bridge besides."""
    links = [
        Link(1, "bond0.7", lower=2),
        Link(2, "bond0"),
        Link(3, "ens1", master=2),
        Link(4, "ens2", master=2),
        Link(5, "br0"),
        Link(6, "ens3", master=5),
    ]
    found = uplinks_among({1}, {link.index: link for link in links})
    assert found == {"bond0.7", "bond0", "ens1", "ens2"}


def test_a_route_through_an_open_vswitch_leads_to_all_its_ports() -> None:
    """Its links have neither master nor lower link; which port it is stands in its flows.

    The switch itself is followed, for what becomes a port of it later.
    """
    links = [
        Link(1, "br-ex", driver="openvswitch"),
        Link(2, "ovs-system", driver="openvswitch"),
        Link(3, "ens1", master=2, port_of="openvswitch"),
        Link(4, "bond0", driver="bond", master=2, port_of="openvswitch"),
        Link(5, "ens2", master=4, port_of="bond"),
        Link(6, "ens3"),
    ]
    found = uplinks_among({1}, {link.index: link for link in links})
    assert found == {"br-ex", "ovs-system", "ens1", "bond0", "ens2"}


def test_sysfs_tells_of_an_open_vswitch_by_the_name_of_its_link(fake: FakeHost) -> None:
    """Nothing there says what br-ex is."""
    routes(fake, ipv4("br-ex"))
    fake.tree.put("/class/net/br-ex")
    fake.tree.put("/class/net/ovs-system/lower_ens1")
    assert "ens1" in read_uplinks(fake.host.root)


def test_a_default_route_that_leads_nowhere_leads_through_no_open_vswitch(fake: FakeHost) -> None:
    """IPv6 always has one, of `lo`; one for IPv4 has no link."""
    routes(fake, ipv4("*").replace("0003", "0200"), ipv4("ens2"), ipv6=ipv6("lo", flags="00200200"))
    fake.tree.put("/class/net/ens2/device")
    fake.tree.put("/class/net/ovs-system/lower_ens1")
    assert read_uplinks(fake.host.root) == {"ens2"}


@pytest.mark.parametrize("below", ["virtio3", "vdpa0/virtio3"])
async def test_a_link_of_virtio_is_its_functions(fake: FakeHost, below: str) -> None:
    """It lies one step deeper, or two; its default route counts all the same."""
    place = fake.one_function("virtio-pci")
    fake.tree.netdev(f"{place}/{below}", "eth0")
    routes(fake, ipv4("eth0"))
    assert not await fake.devices({})


async def test_a_function_is_chosen_by_its_link_of_virtio(fake: FakeHost) -> None:
    """As in a virtual machine that was given functions."""
    fake.tree.netdev(f"{fake.one_function('virtio-pci')}/virtio3", "eth0")
    assert await fake.chosen(netdevs=["eth0"]) == [address_of(0, 0)]


async def test_this_machines_own_uplinks_are_in_no_pool() -> None:
    """Whatever hardware it has."""
    host = open_host()
    places = [device_at(host.root, f"/sys/class/net/{n}") for n in read_uplinks(host.root)]
    own = {address for place in places for address in addresses_in(place or "")}
    require(bool(own), "this machine has no default route out of a PCI function")
    verdicts = {v.device: v.chosen for v in await explain(settings({}), host)}
    assert {address: verdicts[address] for address in own} == dict.fromkeys(own, False)


async def test_an_uplink_is_in_no_pool(fake: FakeHost) -> None:
    """As soon as somebody looks."""
    intel_adapter(fake.tree, 0, functions=2)
    routes(fake, ipv4("ens1v0"))
    async with watching(fake.backend(settings({}))) as inventories:
        routes(fake)
        fake.tree.put("/class/net/x")
        fake.tree.tell("change", "/devices/virtual/net/x", "net")
        found = await until(inventories, lambda each: len(each.devices) > 1)
    assert address_of(0, 0) in found.devices


RDMA = {"serveUplinks": True, "selectors": [{"isRdma": True, "netdevs": ["ens1f0v0"]}]}


async def test_the_rdma_of_an_uplink_is_served_where_that_is_meant(fake: FakeHost) -> None:
    """By the one pool that says so; explanations say it, too."""
    mellanox_adapter(fake.tree, 0, functions=2)
    routes(fake, ipv4("ens1f0v0"))
    pools = ({"selectors": [{"isRdma": True}]}, {"name": "example.com/uplink", **RDMA})
    found = await fake.devices(*pools)
    own = found[address_of(0, 0)]
    assert (own.resource, own.attributes["uplink"], own.healthy) == (
        "example.com/uplink",
        True,
        True,
    )
    verdicts = await explain(settings(*pools), fake.host)
    assert [(v.chosen, v.reason) for v in verdicts if v.device == own.id] == [
        (False, "serveUplinks: it carries a default route of the node"),
        (
            True,
            f"selectors[0]: isRdma, netdevs; it {UPLINK}, which serveUplinks allows",
        ),
    ]


@pytest.mark.parametrize(
    "selector",
    [
        {"isRdma": True},
        {"netdevs": ["ens1"]},
        {"isRdma": True, "netdevs": ["ens*"]},
        {"isRdma": True, "pciAddresses": ["!0000:3b:00.0"]},
    ],
    ids=str,
)
def test_uplinks_are_served_by_name_only(selector: dict[str, object]) -> None:
    """Whoever takes the node's network away must have meant it."""
    with pytest.raises(msgspec.ValidationError, match="serveUplinks: selectors"):
        settings({"serveUplinks": True, "selectors": [selector]})
