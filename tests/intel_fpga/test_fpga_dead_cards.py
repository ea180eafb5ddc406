"""Cards whose registers read all ones, ports in reset or without driver, cards without ports."""

import errno
import logging
from collections.abc import Callable

import pytest

from nodeplug_intel_fpga.backend import FpgaBackend
from nodeplug_intel_fpga.ids import good_id
from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.plugin import checks, explain
from nodeplug_intel_fpga.simulated_cards import Card, write
from support.fpga_host import ADDRESS, AFU, FIRST, NOBODY, OTHER_AFU, FpgaHost
from support.needs import require
from support.slow_files import SlowFile, can_serve_files

SECOND = f"fpga-{ADDRESS}-port1"
ONES = "0x" + "f" * 16
MODES = ["af", "region", "regiondevel"]


def die(card: Card) -> None:
    """Let every register read all ones; the kernel keeps the interface id (dfl-fme-mgr.c)."""
    for name in ("bitstream_id", *DFL.registers):
        write(card.engine / name, f"{ONES}\n")
    write(card.folder / "config", b"\xff" * 4)
    for port in card.ports:
        port.load(NOBODY)
        write(port.folder / "id", "3\n")
        write(port.folder / "errors/errors", f"{ONES}\n")


async def written(backend: FpgaBackend) -> None:
    await backend._write(backend._look()[0].known)


@pytest.mark.parametrize("mode", MODES)
async def test_a_card_that_dies_keeps_its_ids(fake: FpgaHost, mode: str) -> None:
    """Its ports all say that they are number 3."""
    card, backend = fake.card(AFU, AFU), fake.backend(mode=mode)
    before = backend._look()[0].inventory.devices
    die(card)
    after = backend._look()[0].inventory.devices
    assert [(d.id, d.resource) for d in after.values()] == [
        (d.id, d.resource) for d in before.values()
    ]
    assert not any(each.healthy for each in after.values())


@pytest.mark.parametrize("mode", MODES)
async def test_a_number_of_ones_alone_moves_no_port(fake: FpgaHost, mode: str) -> None:
    """A single read of a card may fail."""
    card, backend = fake.card(AFU, AFU), fake.backend(mode=mode)
    before = backend._look()[0].inventory.devices
    write(card.ports[0].folder / "id", "3\n")
    assert backend._look()[0].inventory.devices == before


async def test_a_dead_card_keeps_its_ids_over_a_restart(fake: FpgaHost) -> None:
    """By what was written down while it was well."""
    card, backend = fake.card(AFU, OTHER_AFU), fake.backend()
    await written(backend)
    die(card)
    found = await fake.devices()
    assert [*found] == [FIRST, SECOND]
    assert not any(each.healthy for each in found.values())


@pytest.mark.parametrize("mode", MODES)
async def test_a_port_that_dies_alone_keeps_its_id(fake: FpgaHost, mode: str) -> None:
    """The engine answers, so that the card is not dead."""
    card, backend = fake.card(), fake.backend(mode=mode)
    backend._look()
    card.ports[0].load(NOBODY)
    write(card.ports[0].folder / "id", "3\n")
    assert [*backend._look()[0].inventory.devices] == [FIRST]


async def test_a_dead_card_has_no_temperature(fake: FpgaHost) -> None:
    """All ones would be 127 degrees and 262 kilowatts."""
    card, backend = fake.card(), fake.backend()
    backend._look()
    write(card.engine / "hwmon/hwmon0/temp1_input", "127000\n")
    die(card)
    (device,) = backend._look()[1].devices.values()  # type: ignore[union-attr]
    assert "temperatureCelsius" not in device.attributes
    assert await backend.measure() == []


async def test_a_card_that_was_never_seen_alive_is_not_made_up(fake: FpgaHost) -> None:
    """Though the kernel still has its interface id."""
    die(fake.card())
    assert await fake.devices(mode="region") == {}


async def test_a_dead_card_is_unhealthy_whatever_is_left_out(fake: FpgaHost) -> None:
    """Checks of registers that are never cleared, say."""
    card, every = fake.card(), {"ignore": ["engine", "port", "alarms", "node", "pci"]}
    backend = fake.backend(mode="region", health=every)
    backend._look()
    die(card)
    (device,) = backend._look()[0].inventory.devices.values()
    assert "bitstream_id reads all ones" in device.reason


@pytest.mark.parametrize("mode", MODES)
async def test_a_port_left_in_reset_is_unhealthy_and_the_doctor_knows_what_helps(
    fake: FpgaHost, mode: str
) -> None:
    """Nothing can be done with it until its card is bound anew, whatever is programmed."""
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    card, backend = fake.card(), fake.backend(mode=mode)
    await written(backend)
    with SlowFile(card.ports[0].folder / "afu_id", f"{AFU}\n") as file:
        file.error = errno.EBUSY
        (device,) = backend._look()[0].inventory.devices.values()
        assert device.reason.startswith("dfl-port.0 is in reset")
        (finding,) = checks(fake.settings(mode=mode), fake.host.root)
        assert "unbind its card from dfl-pci and bind it again" in finding.remedy


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda file: file.unlink(), "AFU id is not shown by the driver"),
        (lambda file: write(file, f"{NOBODY}\n"), "AFU id reads all ones"),
        (lambda file: write(file, "0" * 32), "AFU id reads all zeros"),
    ],
)
async def test_what_is_wrong_with_an_afu_id_is_told_apart(
    fake: FpgaHost, damage: Callable[[object], object], reason: str
) -> None:
    """Each has a remedy of its own."""
    card, backend = fake.card(), fake.backend()
    await written(backend)
    damage(card.ports[0].folder / "afu_id")
    (device,) = backend._look()[0].inventory.devices.values()
    assert device.reason == reason
    (finding,) = checks(fake.settings(), fake.host.root)
    assert "--explain" not in finding.remedy


def test_an_id_of_zeros_is_none() -> None:
    """No AFU has it."""
    assert good_id("0" * 32) == ""


async def test_a_port_without_driver_is_told_as_such(fake: FpgaHost) -> None:
    """Linux 6.12 leaves it so when it is given back to its card."""
    card, backend = fake.card(), fake.backend()
    backend._look()
    for name in ("id", "afu_id", "errors/errors"):
        (card.ports[0].folder / name).unlink()
    (device,) = backend._look()[0].inventory.devices.values()
    assert device.reason == "no driver is bound to dfl-port.0"
    left_out = (await fake.inventory()).left_out
    assert "no driver is bound to dfl-port.0" in left_out[f"{ADDRESS}/dfl-port.0"]


async def reasons(fake: FpgaHost) -> dict[str, str]:
    return {each.device: each.reason for each in await explain(fake.settings(), fake.host)}


async def test_a_card_without_ports_is_explained(fake: FpgaHost) -> None:
    """And found by the doctor."""
    fake.cards.add(DFL, ADDRESS, interfaces=["1" * 32], afus={})
    told = "dfl-fme.0 shows no port: it has none, or they are released"
    assert await reasons(fake) == {ADDRESS: told}
    (finding,) = checks(fake.settings(), fake.host.root)
    assert finding.finding == f"is not served: {told}"


async def test_a_card_whose_ports_are_all_given_away_is_no_trouble(fake: FpgaHost) -> None:
    """That is what virtual functions are for."""
    card = fake.cards.add(DFL, ADDRESS, interfaces=["1" * 32], afus={})
    fake.cards.add_virtual(DFL, "0000:e1:00.1", card, afus={0: AFU})
    assert ADDRESS not in await reasons(fake)


async def test_a_card_that_cannot_be_programmed_is_explained(fake: FpgaHost) -> None:
    """Without regions there is no interface id to name a resource by."""
    fake.card(interfaces=())
    assert "offers no partial reconfiguration" in (await reasons(fake))[f"{ADDRESS}/dfl-port.0"]


@pytest.mark.parametrize("ids", [("0x1c2c", "0x1000"), ("0x8086", "0x0b30")])
async def test_a_card_without_driver_is_explained(fake: FpgaHost, ids: tuple[str, str]) -> None:
    """Of any vendor that the kernel's driver knows."""
    card = fake.cards.add(DFL, ADDRESS, ids=ids, interfaces=["1" * 32], afus={0: AFU})
    (card.folder / "driver").unlink()
    card.place.rename(card.folder / "gone")
    for region in ("region0", "region1"):
        (fake.folder / "sys/class/fpga_region" / region).unlink()
    assert await reasons(fake) == {f"PCI function {ADDRESS}": "has no driver"}
    assert [each.finding for each in checks(fake.settings(), fake.host.root)] == ["has no driver"]


def test_accelerators_of_another_kind_are_nobodys_business(fake: FpgaHost) -> None:
    """Processors of Intel have a neural one of the same class, under its own driver."""
    card = fake.cards.add(DFL, ADDRESS, ids=("0x8086", "0x7d1d"), interfaces=[], afus={})
    (card.folder / "driver").unlink()
    (card.folder / "driver").symlink_to("../intel_vpu")
    card.place.rename(card.folder / "gone")
    (fake.folder / "sys/class/fpga_region/region0").unlink()
    assert not checks(fake.settings(), fake.host.root)


async def test_what_passes_at_a_removal_is_not_logged(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture
) -> None:
    """The parts of a card go one by one."""
    card, backend = fake.card(), fake.backend()
    backend._report(backend._look()[0].left_out)
    card.ports[0].folder.rename(fake.folder / "gone")
    with caplog.at_level(logging.WARNING):
        left_out = backend._look()[0].left_out
        assert left_out
        backend._report(left_out)
        card.place.rename(fake.folder / "gone-too")
        (fake.folder / "sys/class/fpga_region/region0").unlink()
        backend._report(backend._look()[0].left_out)
    assert not caplog.records
