"""Claims about which ports and cards exclude each other."""

from pathlib import Path

import pytest

from nodeplug.host.root import HostRoot
from nodeplug.values.hardware import EXCLUSIVE, PART
from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.simulator import FpgaSimulator
from support.clashes import clash, clashes
from support.fpga_host import ADDRESS, AFU, FIRST, INTERFACE, OTHER_INTERFACE, FpgaHost

VIRTUAL = "0000:e1:00.1"
OTHER = "0000:e2:00.0"
PROGRAMMED = {
    "name": "example.com/crypto",
    "interface": INTERFACE,
    "afu": AFU,
    "bitstream": "/srv/crypto.gbs",
    "sha256": "0" * 64,
}


async def test_a_port_is_a_part_of_its_card(fake: FpgaHost) -> None:
    """And itself by its number, which the kernel's names do not keep."""
    fake.card(AFU, AFU)
    found = await fake.devices()
    port = f"fpga-port {ADDRESS}/1"
    assert found[f"fpga-{ADDRESS}-port1"].hardware == {f"pci {ADDRESS}": PART, port: EXCLUSIVE}
    assert clashes(found.values()) == set()


async def test_a_region_is_all_its_ports(fake: FpgaHost) -> None:
    """One of them alone would be in it."""
    fake.card(AFU, AFU)
    region = (await fake.devices(mode="region"))[FIRST]
    ports = (f"fpga-port {ADDRESS}/0", f"fpga-port {ADDRESS}/1")
    assert region.hardware == {f"pci {ADDRESS}": PART, **dict.fromkeys(ports, EXCLUSIVE)}
    assert all(clash(region, each) for each in (await fake.devices()).values())


async def test_who_has_the_engine_has_the_card(fake: FpgaHost) -> None:
    """It can program the ports of others, in other regions and of virtual functions."""
    card = fake.card(AFU, interfaces=(INTERFACE, OTHER_INTERFACE))
    fake.card(address=OTHER)
    fake.cards.add_virtual(DFL, VIRTUAL, card, afus={1: AFU})
    found = await fake.devices(mode="regiondevel", cards={VIRTUAL: "af"})
    devel = found.pop(FIRST)
    assert devel.hardware[f"pci {ADDRESS}"] == EXCLUSIVE
    assert [i for i, each in found.items() if clash(devel, each)] == [f"fpga-{VIRTUAL}-port1"]


async def test_a_port_of_a_virtual_function_is_a_part_of_both_functions(fake: FpgaHost) -> None:
    """Which may be handed out as such by another backend."""
    card = fake.cards.add(DFL, ADDRESS, interfaces=[INTERFACE], afus={})
    fake.cards.add_virtual(DFL, VIRTUAL, card, afus={0: AFU})
    (device,) = (await fake.devices()).values()
    port = f"fpga-port {ADDRESS}/0"
    parts = dict.fromkeys((f"pci {VIRTUAL}", f"pci {ADDRESS}"), PART)
    assert device.hardware == {**parts, port: EXCLUSIVE}


async def test_without_the_engine_a_region_for_development_is_a_part(fake: FpgaHost) -> None:
    """The agent programs other ports of the card, so the engine stays with it."""
    fake.card(AFU, AFU, interfaces=(INTERFACE, OTHER_INTERFACE))
    found = await fake.devices(mode="regiondevel", programming=[PROGRAMMED])
    assert {each.hardware[f"pci {ADDRESS}"] for each in found.values()} == {PART}
    assert clashes(found.values()) == set()


async def test_a_sick_port_is_the_same_hardware(fake: FpgaHost) -> None:
    """A container may still hold it."""
    card, memory = fake.card(), Memory()
    before = (await fake.devices(memory))[FIRST]
    card.ports[0].load("f" * 32)
    after = (await fake.devices(memory))[FIRST]
    assert not after.healthy
    assert after.hardware == before.hardware


@pytest.mark.parametrize(("mode", "count"), [("af", 6), ("region", 5)])
async def test_all_devices_of_the_simulator_can_be_in_use_at_once(
    tmp_path: Path, mode: str, count: int
) -> None:
    """Ports in several regions and of virtual functions are apart."""
    FpgaSimulator(tmp_path)
    found = await FpgaHost(tmp_path).devices(mode=mode)
    assert len(found) == count
    assert clashes(found.values(), HostRoot(tmp_path)) == set()
