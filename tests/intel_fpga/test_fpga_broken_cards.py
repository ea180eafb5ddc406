"""A broken card is named and affects only itself."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from nodeplug_intel_fpga.simulated_cards import Card, write
from support.fpga_host import AFU, FIRST, FpgaHost

OTHER = "0000:e2:00.0"
WELL = f"fpga-{OTHER}-port0"
BROKEN = "0000:e1:00.0/dfl-port.0"
Damage = Callable[[Card], object]


def as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def without_engine(card: Card) -> None:
    card.engine.rename(card.place / "gone")
    (card.folder.parents[4] / "sys/class/fpga_region/region1").unlink()


DAMAGES: dict[str, tuple[Damage, str, str]] = {
    "odd AFU id": (
        lambda card: card.ports[0].load("not an id"),
        BROKEN,
        "its AFU is not known; AFU id reads 'not an id', which is no id",
    ),
    "binary AFU id": (
        lambda card: write(card.ports[0].folder / "afu_id", b"\xff\xfe\n\x1b[2J" * 500),
        BROKEN,
        r"its AFU is not known; AFU id reads '\ufffd\ufffd\n\x1b[2J",
    ),
    "AFU id missing": (
        lambda card: (card.ports[0].folder / "afu_id").unlink(),
        BROKEN,
        "its AFU is not known; AFU id is not shown by the driver",
    ),
    "AFU id a folder": (
        lambda card: as_folder(card.ports[0].folder / "afu_id"),
        BROKEN,
        "its AFU is not known; AFU id cannot be read: Is a directory",
    ),
    "interface missing": (
        lambda card: card.interfaces[0].unlink(),
        BROKEN,
        "its interface is not known; interface id cannot be read",
    ),
    "interface a folder": (
        lambda card: as_folder(card.interfaces[0]),
        BROKEN,
        "its interface is not known; interface id cannot be read",
    ),
    "number missing": (
        lambda card: (card.ports[0].folder / "id").unlink(),
        BROKEN,
        "its number on the card cannot be known",
    ),
    "number too high": (
        lambda card: write(card.ports[0].folder / "id", "99999999999999999999\n"),
        BROKEN,
        "its number on the card cannot be known",
    ),
    "engine missing": (
        without_engine,
        BROKEN,
        "its interface is not known; interface id cannot be read",
    ),
    "odd vendor": (
        lambda card: write(card.folder / "vendor", "x" * 4000),
        BROKEN,
        f"device {FIRST}: attribute model exceeds 64 bytes",
    ),
    "odd NUMA node": (
        lambda card: write(card.folder / "numa_node", "640\n"),
        BROKEN,
        f"device {FIRST}: NUMA nodes (640,) not in 0..63",
    ),
    "never answered": (
        lambda card: card.ports[0].load("f" * 32),
        BROKEN,
        "its AFU is not known; AFU id reads all ones",
    ),
}


@pytest.mark.parametrize(("damage", "name", "reason"), DAMAGES.values(), ids=list(DAMAGES))
async def test_a_broken_card_is_named_and_the_others_are_served(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture, damage: Damage, name: str, reason: str
) -> None:
    """The peer ends, and all cards with it."""
    damage(fake.card())
    fake.card(address=OTHER)
    with caplog.at_level(logging.WARNING):
        found = await fake.devices()
    assert [each.id for each in found.values() if each.healthy] == [WELL]
    (record,) = [each for each in caplog.records if each.message == "not served"]
    facts = record.__dict__["nodeplug"]
    assert facts["name"] == name
    assert facts["reason"].startswith(reason)
    assert facts["reason"].isprintable()


async def test_two_ports_with_one_number_are_one_device(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture
) -> None:
    """The kernel contradicts itself: what is left out is named."""
    card = fake.card(AFU, AFU)
    write(card.ports[1].folder / "id", "0\n")
    assert [*(await fake.devices())] == [FIRST]
    assert "says that it is number 0, as dfl-port.0 does" in str(
        [each.__dict__.get("nodeplug") for each in caplog.records]
    )


@pytest.mark.parametrize("target", ["nowhere", "../../../etc", "region0"])
async def test_a_link_that_leads_astray_is_named(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture, target: str
) -> None:
    """To nothing, out of the devices, to itself."""
    fake.card(address=OTHER)
    link = fake.folder / "sys/class/fpga_region/region0"
    link.unlink()
    link.symlink_to(target)
    fake.card()
    assert [*(await fake.devices())] == [FIRST]
    assert "its link in /sys/class leads nowhere" in str(
        [each.__dict__.get("nodeplug") for each in caplog.records]
    )


async def test_a_card_that_is_no_pci_device_is_named(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Ids are made of PCI addresses."""
    fake.card()
    place = fake.folder / "sys/devices/platform/soc/fpga_region/region7"
    (place / "dfl-port.7").mkdir(parents=True)
    (fake.folder / "sys/class/fpga_region/region7").symlink_to(place)
    assert [*(await fake.devices())] == [FIRST]
    facts = str([each.__dict__.get("nodeplug") for each in caplog.records])
    assert "is not below a PCI function" in facts or "leads nowhere" in facts


@pytest.mark.parametrize("text", ["", "DEVNAME=../../etc/shadow\n", "DEVNAME=a b\nMAJOR=x\n", "="])
async def test_a_node_that_the_kernel_would_not_name_is_not_handed_out(
    fake: FpgaHost, text: str
) -> None:
    """What is read never becomes a path unchecked."""
    write(fake.card().ports[0].folder / "uevent", text)
    device = (await fake.devices(health={}))[FIRST]
    assert device.edits.nodes == ()
    assert device.reason == "the kernel names no device node of dfl-port.0"


@pytest.mark.parametrize("major", ["9" * 30, "-1", "", "\u0661"])
async def test_a_device_number_that_is_none_is_a_fault_of_that_port(
    fake: FpgaHost, major: str
) -> None:
    """No node can be it."""
    write(
        fake.card().ports[0].folder / "uevent",
        f"MAJOR={major}\nMINOR=3\nDEVNAME=dfl-port.0\n",
    )
    device = (await fake.devices(health={}))[FIRST]
    assert device.reason == "/dev/dfl-port.0 is not the node of dfl-port.0"


async def test_a_register_that_is_none_is_told_in_a_few_words(fake: FpgaHost) -> None:
    """However long its file is."""
    write(fake.card().ports[0].folder / "errors/errors", "9" * 4000)
    assert len((await fake.devices())[FIRST].reason) < 80


async def test_what_is_left_out_is_logged_once(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at every look."""
    fake.card("f" * 32)
    backend = fake.backend()
    for _ in range(3):
        backend._report(backend._look()[0].left_out)
    assert len([each for each in caplog.records if each.message == "not served"]) == 1
