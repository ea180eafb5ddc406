"""Which devices there are: nothing is lost, nothing is doubled."""

import pytest

from nodeplug.values.device import Device
from nodeplug_intel_fpga.layouts import Layout
from nodeplug_intel_fpga.simulated_cards import write
from support.fpga_host import (
    ADDRESS,
    AF,
    AFU,
    FIRST,
    INTERFACE,
    LAYOUTS,
    OTHER_AFU,
    OTHER_INTERFACE,
    REGION,
    FpgaHost,
    nodes,
)

each_driver = pytest.mark.parametrize("layout", LAYOUTS.values(), ids=list(LAYOUTS))
SECOND = f"fpga-{ADDRESS}-port1"


def summary(devices: dict[str, Device]) -> dict[str, tuple[str, list[str], str]]:
    """Return resource, nodes and reason of each device."""
    return {each.id: (each.resource, nodes(each), each.reason) for each in devices.values()}


@each_driver
async def test_a_port_is_a_device_named_by_its_ids(fake: FpgaHost, layout: Layout) -> None:
    """Under either driver the same resource and id; the node is that driver's."""
    fake.card(layout=layout)
    assert summary(await fake.devices()) == {FIRST: (AF, [f"{layout.port}0"], "")}


@each_driver
async def test_two_ports_of_one_engine_are_two_devices(fake: FpgaHost, layout: Layout) -> None:
    """The peer stores the first of them only."""
    fake.card(AFU, AFU, layout=layout)
    assert summary(await fake.devices()) == {
        FIRST: (AF, [f"{layout.port}0"], ""),
        SECOND: (AF, [f"{layout.port}1"], ""),
    }


@each_driver
async def test_a_region_brings_all_ports_of_its_engine(fake: FpgaHost, layout: Layout) -> None:
    """The peer hands out the first of them only."""
    fake.card(AFU, OTHER_AFU, layout=layout)
    ports = [f"{layout.port}0", f"{layout.port}1"]
    assert summary(await fake.devices(mode="region")) == {FIRST: (REGION, ports, "")}


@each_driver
async def test_a_developer_gets_the_engine_too(fake: FpgaHost, layout: Layout) -> None:
    """Under the same name of the resource."""
    fake.card(AFU, AFU, layout=layout)
    names = [f"{layout.port}0", f"{layout.port}1", f"{layout.fme}0"]
    assert summary(await fake.devices(mode="regiondevel")) == {FIRST: (REGION, names, "")}


async def test_two_regions_of_one_interface_are_served(fake: FpgaHost) -> None:
    """The peer finds no interface where it finds two, and dies of it."""
    fake.card(AFU, OTHER_AFU, interfaces=(INTERFACE, INTERFACE))
    names = {each.resource[:26] for each in (await fake.devices()).values()}
    assert names == {AF[:26], "fpga.intel.com/af-695.56e."}
    regions = await fake.devices(mode="region")
    assert summary(regions) == {FIRST: (REGION, ["dfl-port.0", "dfl-port.1"], "")}


async def test_two_regions_of_two_interfaces_are_told_apart(fake: FpgaHost) -> None:
    """Regions come in the order of ports, each its own device."""
    fake.card(AFU, AFU, interfaces=(INTERFACE, OTHER_INTERFACE))
    other = f"fpga.intel.com/region-{OTHER_INTERFACE}"
    assert summary(await fake.devices(mode="region")) == {
        FIRST: (REGION, ["dfl-port.0"], ""),
        SECOND: (other, ["dfl-port.1"], ""),
    }


@pytest.mark.parametrize("mode", ["af", "region", "regiondevel"])
@each_driver
async def test_virtual_functions_have_ids_of_their_own(
    fake: FpgaHost, layout: Layout, mode: str
) -> None:
    """The peer names them all after the engine of the physical function: one survives.

    None gets that engine: its holder could program the ports of the others.
    """
    card = fake.cards.add(layout, ADDRESS, interfaces=[INTERFACE], afus={})
    for number in range(2):
        address = f"0000:e1:00.{number + 1}"
        fake.cards.add_virtual(layout, address, card, afus={number: AFU})
    resource = AF if mode == "af" else REGION
    assert summary(await fake.devices(mode=mode)) == {
        "fpga-0000:e1:00.1-port0": (resource, [f"{layout.port}0"], ""),
        "fpga-0000:e1:00.2-port1": (resource, [f"{layout.port}1"], ""),
    }


async def test_virtual_functions_belong_to_their_card(fake: FpgaHost) -> None:
    """For whoever wants devices close to each other, or on different cards."""
    card = fake.card()
    fake.cards.add_virtual(LAYOUTS["dfl"], "0000:e1:00.1", card, afus={1: AFU})
    virtual = (await fake.devices())["fpga-0000:e1:00.1-port1"]
    assert virtual.parent == f"fpga-{ADDRESS}"
    assert virtual.location == ("pci0000:e1", "0000:e1:1f.0", ADDRESS, "0000:e1:00.1")
    assert virtual.attributes["virtual"] is True


async def test_cards_of_both_drivers_are_served_together(fake: FpgaHost) -> None:
    """One card each."""
    fake.card()
    fake.card(address="0000:e2:00.0", layout=LAYOUTS["opae"])
    assert [*(await fake.devices())] == [FIRST, "fpga-0000:e2:00.0-port0"]


async def test_the_tenth_region_comes_after_the_ninth(fake: FpgaHost) -> None:
    """Numbers are numbers, though "10" comes before "9" as text."""
    for bus in range(0x10, 0x19):
        fake.card(address=f"0000:{bus:x}:00.0")
    fake.card(AFU, AFU, interfaces=(INTERFACE, OTHER_INTERFACE))
    found = await fake.devices(mode="region")
    assert (nodes(found[FIRST]), found[FIRST].resource) == (["dfl-port.9"], REGION)
    assert nodes(found[SECOND]) == ["dfl-port.10"]


async def test_a_device_tells_all_facts_of_its_card(fake: FpgaHost) -> None:
    """Operators select by them."""
    fake.card()
    device = (await fake.devices())[FIRST]
    assert device.attributes == {
        "driver": "dfl",
        "address": ADDRESS,
        "card": ADDRESS,
        "model": "PAC-A10",
        "pciId": "8086:09c4",
        "port": "dfl-port.0",
        "ports": 1,
        "virtual": False,
        "interfaceId": INTERFACE,
        "afuId": AFU,
        "bitstreamId": "123000200000185",
        "temperatureCelsius": 52,
        "powerWatts": 31,
    }
    assert device.numa_nodes == (0,)


async def test_a_card_not_known_is_served_under_its_numbers(fake: FpgaHost) -> None:
    """Newer cards work through the same driver."""
    newer = ("0x8086", "0xbeef")
    fake.cards.add(LAYOUTS["dfl"], ADDRESS, ids=newer, interfaces=[INTERFACE], afus={0: AFU})
    assert (await fake.devices())[FIRST].attributes["model"] == "8086:beef"


async def test_a_container_learns_port_afu_interface_and_address(fake: FpgaHost) -> None:
    """By names that no other port uses, so that two resources in one container do not clash."""
    fake.card()
    assert (await fake.devices())[FIRST].edits.envs == {
        "FPGA_DFL_PORT_0_NODE": "/dev/dfl-port.0",
        "FPGA_DFL_PORT_0_ADDRESS": ADDRESS,
        "FPGA_DFL_PORT_0_INTERFACE": INTERFACE,
        "FPGA_DFL_PORT_0_AFU": AFU,
    }


async def test_a_developer_learns_the_engine_and_no_afu(fake: FpgaHost) -> None:
    """What is loaded in a region is its user's business, and changes."""
    fake.card(layout=LAYOUTS["opae"])
    envs = (await fake.devices(mode="regiondevel"))[FIRST].edits.envs
    assert envs["FPGA_OPAE_FME_0_NODE"] == "/dev/intel-fpga-fme.0"
    assert "FPGA_OPAE_PORT_0_AFU" not in envs


async def test_nodes_are_found_by_what_the_kernel_calls_them(fake: FpgaHost) -> None:
    """In uevent, without udev: the name of the folder does not count."""
    card = fake.card()
    minor = fake.cards.make_node("other-name")
    write(card.ports[0].folder / "uevent", f"MAJOR=1\nMINOR={minor}\nDEVNAME=other-name\n")
    assert nodes((await fake.devices())[FIRST]) == ["other-name"]
