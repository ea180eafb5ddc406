"""When a device is Unhealthy, and what is said of it."""

from collections.abc import Callable
from typing import Any

import pytest

from nodeplug_intel_fpga.layouts import DFL, OPAE, Layout
from nodeplug_intel_fpga.memory import Memory
from nodeplug_intel_fpga.simulated_cards import Card, write
from support.fpga_host import ADDRESS, AFU, FIRST, INTERFACE, NOBODY, FpgaHost

Fault = Callable[[FpgaHost, Card], object]
GOOD: dict[str, str] = {FIRST: ""}


async def reasons(fake: FpgaHost, memory: Memory, **values: Any) -> dict[str, str]:
    return {each.id: each.reason for each in (await fake.devices(memory, **values)).values()}


def register(name: str, text: str = "0x10") -> Fault:
    return lambda _fake, card: write(card.engine / name, f"{text}\n")


def port_file(name: str, text: str) -> Fault:
    return lambda _fake, card: write(card.ports[0].folder / name, f"{text}\n")


def interface(text: str) -> Fault:
    return lambda _fake, card: write(card.interfaces[0], f"{text}\n")


def drop_driver(_fake: FpgaHost, card: Card) -> None:
    (card.folder / "driver").unlink()
    card.place.rename(card.folder / "gone")


def other_driver(fake: FpgaHost, card: Card) -> None:
    drop_driver(fake, card)
    (card.folder / "driver").symlink_to("../vfio-pci")


def unplug(fake: FpgaHost, _card: Card) -> None:
    (fake.folder / "sys/bus/pci/devices" / ADDRESS).unlink()
    (fake.folder / "sys/class/fpga_region/region0").unlink()


FAULTS: dict[str, tuple[Fault, str]] = {
    "afu": (port_file("afu_id", NOBODY), "AFU id reads all ones"),
    "interface": (interface(NOBODY), "interface id reads all ones"),
    "fme errors": (
        register("errors/fme_errors"),
        "dfl-fme.0 errors/fme_errors reads 0x10",
    ),
    "catfatal": (
        register("errors/catfatal_errors"),
        "dfl-fme.0 errors/catfatal_errors reads 0x10",
    ),
    "nonfatal": (
        register("errors/nonfatal_errors"),
        "dfl-fme.0 errors/nonfatal_errors reads 0x10",
    ),
    "pcie": (register("errors/pcie1_errors"), "dfl-fme.0 errors/pcie1_errors reads 0x10"),
    "port errors": (
        port_file("errors/errors", "0x400000000000000"),
        "dfl-port.0 errors/errors reads 0x400000000000000",
    ),
    "thermal trip": (
        port_file("power_state", "0x6"),
        "dfl-port.0 is throttled by the thermal trip",
    ),
    "temperature": (
        register("hwmon/hwmon0/temp1_crit_alarm", "1"),
        "dfl-fme.0 tells temp1_crit_alarm",
    ),
    "power": (
        register("hwmon/hwmon0/power1_crit_alarm", "1"),
        "dfl-fme.0 tells power1_crit_alarm",
    ),
    "pci": (
        lambda _fake, card: write(card.folder / "config", b"\xff" * 64),
        f"PCI function {ADDRESS} does not answer",
    ),
    "no driver": (drop_driver, f"no driver is bound to PCI function {ADDRESS}"),
    "other driver": (other_driver, f"driver vfio-pci is bound to PCI function {ADDRESS}"),
    "no ports": (
        lambda _fake, card: card.place.rename(card.folder / "gone"),
        "the driver shows no port",
    ),
    "gone": (unplug, f"PCI function {ADDRESS} is gone"),
}


@pytest.mark.parametrize(("fault", "reason"), FAULTS.values(), ids=list(FAULTS))
async def test_a_fault_is_named_under_the_resource_that_the_device_had(
    fake: FpgaHost, fault: Fault, reason: str
) -> None:
    """The peer knows of two of these, and moves the device to a name made of the fault."""
    memory = Memory()
    card = fake.card()
    before = (await fake.devices(memory))[FIRST]
    fault(fake, card)
    after = (await fake.devices(memory))[FIRST]
    assert (after.reason, after.resource) == (reason, before.resource)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (register("errors/fme-errors/errors"), "errors/fme-errors/errors reads 0x10"),
        (register("thermal_mgmt/threshold2_reached", "0x1"), "tells threshold2_reached"),
    ],
)
async def test_the_other_driver_has_its_own_names(
    fake: FpgaHost, fault: Fault, reason: str
) -> None:
    """What they mean is the same."""
    fault(fake, fake.card(layout=OPAE))
    assert (await reasons(fake, Memory())) == {FIRST: f"intel-fpga-fme.0 {reason}"}


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ("engine", FAULTS["fme errors"]),
        ("port", FAULTS["port errors"]),
        ("alarms", FAULTS["temperature"]),
        ("alarms", FAULTS["thermal trip"]),
        ("pci", FAULTS["pci"]),
    ],
)
async def test_a_check_can_be_left_out(
    fake: FpgaHost, check: str, fault: tuple[Fault, str]
) -> None:
    """For registers that are never cleared, say."""
    fault[0](fake, fake.card())
    assert await reasons(fake, Memory(), health={"ignore": [check, "node"]}) == GOOD


@pytest.mark.parametrize("name", ["afu", "interface", "no driver", "gone"])
async def test_a_lost_card_cannot_be_left_out(fake: FpgaHost, name: str) -> None:
    """It is of no use to anybody."""
    memory, card = Memory(), fake.card()
    every = {"ignore": ["engine", "port", "alarms", "node", "pci"]}
    await fake.devices(memory)
    FAULTS[name][0](fake, card)
    assert await reasons(fake, memory, health=every) == {FIRST: FAULTS[name][1]}


async def test_a_missing_node_is_told(fake: FpgaHost) -> None:
    """A container could not start with it."""
    fake.card().ports[0].node.unlink()
    found = await reasons(fake, Memory(), health={})
    assert found == {FIRST: "/dev/dfl-port.0 is missing"}


@pytest.mark.parametrize("kind", ["file", "directory"])
async def test_what_is_not_the_kernels_node_is_told(fake: FpgaHost, kind: str) -> None:
    """A file left there, say; nothing is opened to find out."""
    node = fake.card().ports[0].node
    node.unlink()
    node.touch() if kind == "file" else node.mkdir()
    found = await reasons(fake, Memory(), health={})
    assert found == {FIRST: "/dev/dfl-port.0 is not the node of dfl-port.0"}


async def test_only_a_developer_needs_the_node_of_the_engine(fake: FpgaHost) -> None:
    """Others do not get it."""
    card = fake.card()
    (fake.folder / "dev" / card.engine.name).unlink()
    assert "dfl-fme" not in (await reasons(fake, Memory(), health={}))[FIRST]
    found = await reasons(fake, Memory(), health={}, mode="regiondevel")
    assert "/dev/dfl-fme.0 is missing" in found[FIRST]


async def test_an_empty_region_is_healthy(fake: FpgaHost) -> None:
    """Without an AFU there is all the more to program."""
    fake.card(NOBODY)
    assert await reasons(fake, Memory(), mode="region") == GOOD


async def test_a_fault_of_one_port_leaves_the_other_in_service(fake: FpgaHost) -> None:
    """Each is a device of its own."""
    memory, card = Memory(), fake.card(AFU, AFU)
    await fake.devices(memory)
    card.ports[0].load(NOBODY)
    second = f"fpga-{ADDRESS}-port1"
    assert await reasons(fake, memory) == {FIRST: "AFU id reads all ones", second: ""}


async def test_a_fault_of_one_region_leaves_the_other_in_service(fake: FpgaHost) -> None:
    """Though both have one interface, and one cannot be read."""
    memory, card = Memory(), fake.card(AFU, AFU, interfaces=(INTERFACE, INTERFACE))
    await fake.devices(memory)
    write(card.interfaces[1], f"{NOBODY}\n")
    second = f"fpga-{ADDRESS}-port1"
    assert await reasons(fake, memory) == {FIRST: "", second: "interface id reads all ones"}


async def test_a_card_that_does_not_answer_at_all_keeps_its_devices(fake: FpgaHost) -> None:
    """Every register reads all ones, the numbers of its ports too."""
    memory, card = Memory(), fake.card(AFU, AFU)
    before = await fake.devices(memory)
    for port in card.ports:
        port.load(NOBODY)
        write(port.folder / "id", "3\n")
    write(card.interfaces[0], f"{NOBODY}\n")
    after = await fake.devices(memory)
    assert {each.id: each.resource for each in after.values()} == {
        each.id: each.resource for each in before.values()
    }
    assert not any(each.healthy for each in after.values())


@pytest.mark.parametrize("layout", [DFL, OPAE])
async def test_an_error_of_the_engine_is_one_of_all_its_ports(
    fake: FpgaHost, layout: Layout
) -> None:
    """Those of virtual functions too."""
    card = fake.card(layout=layout)
    fake.cards.add_virtual(layout, "0000:e1:00.1", card, afus={1: AFU})
    register("errors/catfatal_errors")(fake, card)
    reason = f"{layout.fme}0 errors/catfatal_errors reads 0x10"
    virtual = "fpga-0000:e1:00.1-port1"
    assert await reasons(fake, Memory()) == {FIRST: reason, virtual: reason}


async def test_at_most_three_reasons_are_given(fake: FpgaHost) -> None:
    """One line for the operator."""
    card = fake.card()
    for name in DFL.registers:
        register(name)(fake, card)
    assert (await reasons(fake, Memory()))[FIRST].count(";") == 2
