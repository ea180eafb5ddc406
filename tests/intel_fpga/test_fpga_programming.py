"""Programming a port before a container starts, with a stand-in for the kernel's driver."""

import errno
import gzip
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import pytest

from nodeplug.testing.patience import patience
from nodeplug.values.errors import AllocationRefusedError
from nodeplug_intel_fpga.simulated_cards import write
from support.bitstreams import aocx
from support.fpga_host import ADDRESS, AFU, FIRST, OTHER_AFU, OTHER_INTERFACE, FpgaHost
from support.fpga_programming import (
    BITSTREAM,
    RESOURCE,
    Driver,
    bitstream,
    image,
    prepare,
    section,
)
from support.needs import require
from support.timed import on_this_machine, timed

SECOND = f"fpga-{ADDRESS}-port1"


@pytest.mark.parametrize("data", [bitstream(), aocx(gzip.compress(bitstream()))])
def test_a_port_is_programmed(fake: FpgaHost, driver: Driver, data: bytes) -> None:
    """The driver gets the image as it stands in the file, for the right port."""
    driver.drive(fake.card(AFU, AFU))
    assert prepare(fake, driver, section(fake, data), [SECOND]) == [""]
    assert (driver.got(0), driver.got(1)) == (None, image())


def test_what_is_loaded_is_not_loaded_again(fake: FpgaHost, driver: Driver) -> None:
    """Every restart of the container asks; its sibling may be at work. The file is not needed."""
    driver.drive(fake.card(OTHER_AFU))
    assert prepare(fake, driver, section(fake, None), [FIRST]) == [""]
    assert driver.got() is None


def test_a_port_that_somebody_has_open_is_left_alone(fake: FpgaHost, driver: Driver) -> None:
    """Whoever that is."""
    driver.drive(fake.card())
    (driver.folder / "dfl-port.0.held").touch()
    assert prepare(fake, driver, section(fake, bitstream()), [FIRST]) == ["dfl-port.0 is in use"]
    assert driver.got() is None


REFUSALS = {
    "another file": ({"sha256": "0" * 64}, bitstream(), "has the SHA-256 "),
    "another AFU": ({"afu": "1" * 32}, bitstream(), f"holds the AFU {OTHER_AFU}"),
    "another interface": (
        {},
        bitstream(interface=OTHER_INTERFACE),
        f"is for the interface {OTHER_INTERFACE}",
    ),
    "no bitstream": ({}, b"#!/bin/sh", "is neither a GBS nor an AOCX file"),
    "cut off": ({}, bitstream()[:200], "the GBS file is cut off"),
    "empty": ({}, b"", "takes 0 bytes, must be 1 to "),
}


@pytest.mark.parametrize(("values", "data", "text"), REFUSALS.values(), ids=list(REFUSALS))
def test_a_file_that_is_not_the_one_wanted_is_refused(
    fake: FpgaHost, driver: Driver, values: dict[str, str], data: bytes, text: str
) -> None:
    """Nothing of it reaches the card."""
    driver.drive(fake.card())
    (said,) = prepare(fake, driver, section(fake, data, **values), [FIRST])
    assert said.startswith(f"{BITSTREAM} {text}")
    assert driver.got() is None


def test_a_missing_file_is_named(fake: FpgaHost, driver: Driver) -> None:
    """It may not have been copied to this node."""
    driver.drive(fake.card())
    said = prepare(fake, driver, section(fake, None), [FIRST])
    assert said == [f"{BITSTREAM}: No such file or directory"]


def test_what_the_driver_says_is_passed_on(fake: FpgaHost, driver: Driver) -> None:
    """The hardware found errors, say."""
    driver.drive(fake.card())
    (driver.folder / "errno").write_text(str(errno.EIO))
    said = prepare(fake, driver, section(fake, bitstream()), [FIRST])
    assert said == ["programming dfl-port.0 failed: Input/output error"]


def test_success_is_believed_only_when_the_afu_is_there(fake: FpgaHost, driver: Driver) -> None:
    """The driver's word is not enough."""
    driver.drive(fake.card())
    (driver.folder / "port0").unlink()
    said = prepare(fake, driver, section(fake, bitstream()), [FIRST])
    assert said == [f"dfl-port.0 was programmed, but its AFU id is {AFU}"]


def test_ports_of_one_engine_are_programmed_one_after_the_other(
    fake: FpgaHost, driver: Driver
) -> None:
    """Containers start at once; the stand-in takes no two requests at a time.

    Who waited for a port that another one programmed meanwhile finds it ready.
    """
    driver.drive(fake.card(AFU, AFU))
    (driver.folder / "slow").write_text("100")
    said = prepare(fake, driver, section(fake, bitstream()), [FIRST], [SECOND], [SECOND])
    assert said == ["", "", ""]
    assert driver.got(0) == driver.got(1) == image()
    assert driver.requests == ["0", "1"]


def test_all_devices_of_a_container_are_programmed(fake: FpgaHost, driver: Driver) -> None:
    """Before it starts."""
    driver.drive(fake.card(AFU, AFU))
    assert prepare(fake, driver, section(fake, bitstream()), [FIRST, SECOND]) == [""]
    assert driver.got(0) == driver.got(1) == image()


@timed
def test_programming_that_takes_too_long_is_given_up(fake: FpgaHost, driver: Driver) -> None:
    """The kubelet would give up a little later, without a reason."""
    driver.drive(fake.card())
    (driver.folder / "slow").write_text("5000")
    started = time.monotonic()
    said = prepare(fake, driver, section(fake, bitstream()), [FIRST], seconds=0.2)
    assert said == ["programming did not end within 0.2 s"]
    assert time.monotonic() - started < on_this_machine(4)


async def test_a_card_that_has_changed_since_is_not_programmed(fake: FpgaHost) -> None:
    """It is looked at again at the last moment."""
    card = fake.card()
    async with preparing(fake) as prepare_first:
        write(card.interfaces[0], f"{OTHER_INTERFACE}\n")
        with pytest.raises(AllocationRefusedError, match=f"has the interface {OTHER_INTERFACE}"):
            await prepare_first()
        card.place.rename(card.folder / "gone")
        with pytest.raises(AllocationRefusedError, match="is not there"):
            await prepare_first()


async def test_a_node_that_cannot_be_opened_is_named(fake: FpgaHost) -> None:
    """The privilege is missing, or the node."""
    card = fake.card()
    async with preparing(fake) as prepare_first:
        card.ports[0].node.unlink()
        text = "dfl-port.0 cannot be opened: No such file or directory"
        with pytest.raises(AllocationRefusedError, match=text):
            await prepare_first()


async def test_a_node_of_another_driver_refuses_the_request(fake: FpgaHost) -> None:
    """The nodes here are those of /dev/null, and this is the true kernel's answer."""
    require(os.geteuid() == 0, "opening device nodes below a folder needs root")
    fake.card()
    async with preparing(fake) as prepare_first:
        with pytest.raises(AllocationRefusedError, match="Inappropriate ioctl for device"):
            await prepare_first()


async def test_a_port_is_looked_at_again_after_it_was_programmed(fake: FpgaHost) -> None:
    """Its AFU is another now, and the kernel does not say so."""
    card = fake.card(OTHER_AFU)
    settings = section(fake, None) | {"pollSeconds": 3600}
    backend = fake.backend(**settings)
    async with aclosing(backend.inventories()) as inventories:
        first = await anext(inventories)
        await backend.prepare(RESOURCE, [first.devices[FIRST]])
        card.ports[0].load(AFU)
        async with patience(5):
            second = await anext(inventories)
    assert second.devices[FIRST].attributes["afuId"] == AFU


@asynccontextmanager
async def preparing(fake: FpgaHost) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Give a function that prepares the first port, in this process."""
    backend = fake.backend(**section(fake, bitstream()))
    async with aclosing(backend.inventories()) as inventories:
        device = (await anext(inventories)).devices[FIRST]
        yield lambda: backend.prepare(RESOURCE, [device])
