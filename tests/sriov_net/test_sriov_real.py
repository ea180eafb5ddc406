"""What the backend says of this machine, held against what the kernel says elsewhere."""

import os
from pathlib import Path

from nodeplug.host.host import open_host
from nodeplug.host.nodes import node_type
from nodeplug.values.device import Device
from nodeplug_sriov_net.backend import SriovNetBackend
from nodeplug_sriov_net.links import read_links, read_routes
from nodeplug_sriov_net.memory import Memory
from nodeplug_sriov_net.network import Network
from nodeplug_sriov_net.survey import Survey
from nodeplug_sriov_net.uplinks import read_uplinks, uplinks_among
from support.mounts import can_mount_in_namespace, mounted
from support.needs import require
from support.network import ip, private_network
from support.sriov_host import discover, settings

PCI = Path("/sys/bus/pci/devices")
HOST = open_host()
EVERYTHING = [{}, {"name": "example.com/accelerator", "deviceType": "accelerator"}]


async def served() -> dict[str, Device]:
    backend = SriovNetBackend(settings(*EVERYTHING), HOST, Memory())
    return dict((await discover(backend)).devices)


def test_every_network_function_and_accelerator_is_found() -> None:
    """By its class, as the kernel gives it."""
    classes = {place.name: (place / "class").read_text() for place in PCI.glob("*")}
    expected = {a for a, text in classes.items() if text.startswith(("0x02", "0x12"))}
    assert Survey(HOST.root).look().keys() == expected


def test_every_virtual_function_is_its_physical_functions() -> None:
    """The links lead both ways."""
    found = Survey(HOST.root).look()
    owned = {a: (f.address, i) for f in found.values() for i, a in f.virtual.items()}
    links = {
        link.resolve().name: (link.parent.name, int(link.name.removeprefix("virtfn")))
        for link in PCI.glob("*/virtfn*")
    }
    assert {a: place for a, place in links.items() if a in found} == owned
    assert {a: f.physfn for a, f in found.items() if f.physfn} == {
        a: p for a, (p, _) in owned.items()
    }


def test_what_a_vxlan_lies_upon_is_an_uplink(tmp_path: Path) -> None:
    """Netlink does not tell; sysfs does."""
    require(can_mount_in_namespace(), "mounting sysfs needs root")
    with private_network(), mounted("sysfs", tmp_path / "sys", "ro"):
        ip("link add e0 type ifb", "link set e0 up")
        try:
            ip("link add vx0 type vxlan id 7 dev e0 dstport 4789", "link set vx0 up")
        except AssertionError as error:
            require(False, f"this kernel makes no VXLAN: {error}")
        ip("route add default dev vx0 table 77")
        heard = uplinks_among(read_routes().links, read_links().links)
        assert heard == {"vx0"}
        assert read_uplinks(open_host(str(tmp_path)).root, heard) == {"vx0", "e0"}


async def test_netlink_and_sysfs_agree_on_links() -> None:
    """Index, name, hardware type and address."""
    network = Network(HOST.root, lambda _: None)
    await network.open()
    await network.refresh()
    network.close()
    shown = [link for function in Survey(HOST.root).look().values() for link in function.all_links]
    told = [network.links[link.index] for link in shown]
    facts = [[(each.name, each.kind, each.address) for each in links] for links in (shown, told)]
    assert facts[0] == facts[1]


async def test_what_is_served_can_be_used() -> None:
    """Healthy devices are on PCI, bound to a driver, and their nodes are there."""
    devices = [device for device in (await served()).values() if device.healthy]
    drivers = [os.readlink(PCI / str(d.attributes["pciAddress"]) / "driver") for d in devices]  # noqa: PTH115
    assert [Path(each).name for each in drivers] == [d.attributes["driver"] for d in devices]
    nodes = [node.host_path for device in devices for node in device.edits.nodes]
    assert {node_type(HOST.root.path(path)) for path in nodes} <= {"char"}
