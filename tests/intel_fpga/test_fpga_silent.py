"""A card that does not answer, as while one of its ports is programmed: who waits for it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager

import pytest

from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.socket_uevents import send_uevent
from nodeplug.host.uevents import Uevent
from nodeplug.testing.patience import patience
from nodeplug.values.inventory import Inventory
from nodeplug_intel_fpga.backend import FpgaBackend
from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.plugin import checks, explain
from nodeplug_intel_fpga.simulated_cards import Card
from support.fpga_host import ADDRESS, AFU, FIRST, FpgaHost
from support.needs import require
from support.slow_files import SlowFile, can_serve_files

OTHER = "0000:e2:00.0"
WELL = f"fpga-{OTHER}-port0"
VIRTUAL = "0000:e1:00.1"
SILENT = f"PCI function {ADDRESS} does not answer: its registers cannot be read"
Wanted = Callable[[dict[str, str]], bool]


class Stage:
    """Two cards, a virtual function of the first, and a backend that looks when it is told to."""

    def __init__(self, fake: FpgaHost) -> None:
        self.fake = fake
        self.card = fake.card()
        self.other = fake.card(address=OTHER)
        fake.cards.add_virtual(DFL, VIRTUAL, self.card, afus={1: AFU})

    def backend(self) -> FpgaBackend:
        return self.fake.backend(pollSeconds=3600)

    def tell(self) -> None:
        send_uevent(self.fake.socket, Uevent("change", "/x", "pci", "", {"PCI_CLASS": "120000"}))

    @contextmanager
    def slow(self) -> Iterator[SlowFile]:
        """Serve a register of the first card that the engine's lock stands before."""
        with slow(self.card) as file:
            yield file


@contextmanager
def slow(card: Card, name: str = "errors/fme_errors", content: str = "0x0\n") -> Iterator[SlowFile]:
    with SlowFile(card.engine / name, content) as file:
        yield file


class Told:
    """What a backend has told."""

    def __init__(self, inventories: AsyncIterator[Inventory]) -> None:
        self._inventories = inventories

    async def until(self, wanted: Wanted) -> None:
        """Wait for reasons by device."""
        async with patience(15):
            async for inventory in self._inventories:
                if wanted({each.id: each.reason for each in inventory.devices.values()}):
                    return


@pytest.fixture(name="stage")
def _stage(fake: FpgaHost) -> Stage:
    require(can_serve_files(), "serving a file system needs root and /dev/fuse")
    return Stage(fake)


@asynccontextmanager
async def telling(backend: FpgaBackend) -> AsyncIterator[Told]:
    async with aclosing(backend.inventories()) as inventories:
        yield Told(inventories)


def is_silent(reasons: dict[str, str]) -> bool:
    return reasons.get(FIRST) == SILENT


def is_well(reasons: dict[str, str]) -> bool:
    return len(reasons) == 3 and not any(reasons.values())


async def test_a_card_that_does_not_answer_is_unhealthy_alone(stage: Stage) -> None:
    """With its virtual functions, for nobody knows how their card is."""
    with stage.slow() as file:
        async with telling(stage.backend()) as told:
            await told.until(is_well)
            file.hang()
            stage.tell()
            all_of_it = {FIRST: SILENT, f"fpga-{VIRTUAL}-port1": SILENT, WELL: ""}
            await told.until(lambda reasons: reasons == all_of_it)
            file.go_on()
            await told.until(is_well)


async def test_it_costs_one_thread_however_often_it_is_looked_at(stage: Stage) -> None:
    """Over reloads too."""
    with stage.slow() as file:
        backend = stage.backend()
        async with telling(backend) as told:
            await told.until(is_well)
            file.hang()
            stage.tell()
            await told.until(is_silent)
        for _ in range(3):
            await stage.fake.devices(backend.memory)
        async with patience(15):
            while _readers() > 1:  # noqa: ASYNC110 - threads end
                await asyncio.sleep(0.01)
        assert file.asked <= 2


def _readers() -> int:
    return [thread.name for thread in threading.enumerate()].count("read")


async def test_whoever_watches_the_agent_is_told_as_long_as_it_lasts(stage: Stage) -> None:
    """And no longer than there is a backend."""
    with stage.slow() as file:
        file.hang()
        async with telling(stage.backend()) as told:
            await told.until(lambda reasons: WELL in reasons)
            assert fallbacks() == {
                f"intel_fpga {ADDRESS}": "a device does not answer: its registers cannot be read"
            }
    assert not fallbacks()


async def test_a_card_that_hangs_at_a_start_keeps_its_resource(stage: Stage) -> None:
    """What an agent wrote down before is told, with the reason."""
    backend = stage.backend()
    await backend._write(backend._look()[0].known)
    with stage.slow() as file:
        file.hang()
        async with telling(stage.backend()) as told:
            await told.until(lambda reasons: reasons.get(FIRST) == SILENT and not reasons[WELL])


async def test_one_that_never_answered_is_named(stage: Stage) -> None:
    """By the doctor, and where each device is explained."""
    with stage.slow() as file:
        file.hang()
        settings, host = stage.fake.settings(), stage.fake.host
        verdicts = {each.device: each.reason for each in await explain(settings, host)}
        assert verdicts[ADDRESS] == SILENT
        found = await asyncio.to_thread(checks, settings, host.root)
        assert f"is not served: {SILENT}" in [
            each.finding for each in found if each.subject == ADDRESS
        ]


async def test_a_sensor_that_hangs_costs_only_its_card_its_figures(stage: Stage) -> None:
    """Metrics of the others go on."""
    with slow(stage.card, "hwmon/hwmon0/power1_input", "31000000\n") as file:
        backend = stage.backend()
        async with telling(backend) as told:
            await told.until(is_well)
            file.hang()
            assert {each.device for each in await backend.measure()} == {WELL}
