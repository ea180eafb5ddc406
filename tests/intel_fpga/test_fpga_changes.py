"""When the backend looks again, and what it tells then."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.testing.patience import patience
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.changes import changes, concerns_cards
from nodeplug_intel_fpga.simulated_cards import Card, write
from support.fpga_host import ADDRESS, AF, FIRST, NOBODY, OTHER_AFU, FpgaHost
from support.timed import on_this_machine, timed

DEVPATH = f"/devices/pci0000:e1/0000:e1:1f.0/{ADDRESS}"
# No poll within a test.
NEVER = 3600.0


def pci_event(action: str = "change", **properties: str) -> Uevent:
    return Uevent(action, DEVPATH, "pci", "", {"PCI_CLASS": "120000", **properties})


class Told:
    """What a backend tells after its first inventory."""

    def __init__(self, inventories: AsyncGenerator[Inventory, None]) -> None:
        self._inventories = inventories

    async def next(self) -> Device:
        async with patience(5):
            return (await anext(self._inventories)).devices[FIRST]


@asynccontextmanager
async def watching(fake: FpgaHost, **values: Any) -> AsyncIterator[Told]:
    async with aclosing(fake.backend(**{"pollSeconds": NEVER, **values}).inventories()) as told:
        await anext(told)
        yield Told(told)


async def test_a_card_that_appears_is_told(fake: FpgaHost) -> None:
    """By what the kernel says of its port."""
    async with watching(fake) as told:
        fake.card()
        event = Uevent("add", f"{DEVPATH}/fpga_region/region0/dfl-port.0", "platform", "", {})
        send_uevent(fake.socket, event)
        assert (await told.next()).healthy


async def test_a_driver_that_goes_is_told_at_once_and_so_is_its_return(fake: FpgaHost) -> None:
    """The kernel tells of both."""
    card = fake.card()
    async with watching(fake) as told:
        link, driver = card.folder / "driver", (card.folder / "driver").readlink()
        link.unlink()
        card.place.rename(card.folder / "gone")
        send_uevent(fake.socket, pci_event("unbind"))
        assert (await told.next()).reason == f"no driver is bound to PCI function {ADDRESS}"
        link.symlink_to(driver)
        (card.folder / "gone").rename(card.place)
        send_uevent(fake.socket, pci_event("bind"))
        assert (await told.next()).healthy


@pytest.mark.parametrize("state", ["BEGIN_RECOVERY", "FAILED_RECOVERY"])
async def test_a_card_is_judged_by_what_it_shows_after_an_error(fake: FpgaHost, state: str) -> None:
    """The kernel says of every error that it failed, for dfl-pci has no handlers."""
    card = fake.card()
    async with watching(fake) as told:
        write(card.folder / "config", b"\xff" * 4)
        send_uevent(fake.socket, pci_event(ERROR_EVENT=state))
        assert (await told.next()).reason == f"PCI function {ADDRESS} does not answer"
        write(card.folder / "config", b"\x86\x80\xc4\x09")
        send_uevent(fake.socket, pci_event(ERROR_EVENT="FAILED_RECOVERY"))
        assert (await told.next()).healthy


async def test_lost_events_are_a_reason_to_look(fake: FpgaHost) -> None:
    """What could not be read might have mattered."""
    card = fake.card()
    async with watching(fake) as told:
        card.ports[0].load(NOBODY)
        send_uevent(fake.socket, Uevent("", "", "", "", {}))
        assert (await told.next()).reason == "AFU id reads all ones"


@timed
async def test_what_no_event_tells_is_found_by_the_poll(fake: FpgaHost) -> None:
    """A port that somebody programmed, an error register, an alarm: its own figure."""
    card = fake.card()
    async with watching(fake, pollSeconds=0.1) as told:
        card.ports[0].load(OTHER_AFU)
        started = time.monotonic()
        device = await told.next()
        assert device.resource != AF
        assert time.monotonic() - started < on_this_machine(1.0)


async def test_a_change_of_temperature_alone_is_not_told(fake: FpgaHost) -> None:
    """It would be told at every look; metrics have it."""
    card = fake.card()
    async with watching(fake, pollSeconds=0.1) as told:
        write(card.engine / "hwmon/hwmon0/temp1_input", "60000\n")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await told.next()


async def test_temperature_and_power_are_measured_when_asked_for(fake: FpgaHost) -> None:
    """In the units of the metrics, for each device of the card."""
    card = fake.card()
    backend = fake.backend()
    async with aclosing(backend.inventories()) as told:
        await anext(told)
        write(card.engine / "hwmon/hwmon0/temp1_input", "60500\n")
        measured = [(each.device, each.quantity, each.value) for each in await backend.measure()]
    assert measured == [(FIRST, "temperature_celsius", 60.5), (FIRST, "power_watts", 31.0)]


async def test_what_a_card_does_not_tell_is_not_measured(fake: FpgaHost) -> None:
    """Not every card has every sensor."""
    card: Card = fake.card()
    (card.engine / "hwmon/hwmon0/power1_input").unlink()
    backend = fake.backend()
    async with aclosing(backend.inventories()) as told:
        await anext(told)
        assert [each.quantity for each in await backend.measure()] == ["temperature_celsius"]


@pytest.mark.parametrize(
    ("event", "concerns"),
    [
        (pci_event(), True),
        (Uevent("add", f"{DEVPATH}/fpga/intel-fpga-dev.0/intel-fpga-fme.0", "x", "", {}), True),
        (Uevent("add", "/devices/pci0000:00/x", "pci", "", {"PCI_CLASS": "30000"}), False),
        (Uevent("change", "/devices/virtual/mem/null", "mem", "/dev/null", {}), False),
    ],
)
def test_only_events_of_cards_cause_a_look(event: Uevent, *, concerns: bool) -> None:
    """A busy host does not keep the agent busy."""
    assert concerns_cards(event) is concerns


async def test_a_burst_of_events_is_one_look(fake: FpgaHost) -> None:
    """A driver that is bound makes a dozen."""
    requested = asyncio.Event()
    async with changes(fake.host, requested, NEVER) as told:
        for _ in range(9):
            send_uevent(fake.socket, pci_event())
        async with patience(5):
            await told.wait()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await told.wait()
