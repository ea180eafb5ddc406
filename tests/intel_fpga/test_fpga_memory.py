"""What a new agent knows of cards that are sick when it starts."""

import asyncio
import json
import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from nodeplug.host.calls import call
from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.files import write_atomically
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug_intel_fpga import state
from nodeplug_intel_fpga.backend import FpgaBackend
from nodeplug_intel_fpga.layouts import DFL
from nodeplug_intel_fpga.simulated_cards import Card, write
from nodeplug_intel_fpga.state import State
from support.fpga_host import ADDRESS, AF, AFU, FIRST, INTERFACE, NOBODY, OTHER_AFU, FpgaHost

STATE = "var/lib/kubelet/device-plugins/.nodeplug/intel_fpga/ports.json"


async def run_once(fake: FpgaHost, **values: Any) -> dict[str, Device]:
    """Let a backend write down what it knows; return what it told."""
    backend = fake.backend(**values)
    backend._state.write(backend._look()[0].known)
    return await fake.devices(**values)


def kill(card: Card) -> None:
    for port in card.ports:
        port.load(NOBODY)
        write(port.folder / "id", "3\n")
    write(card.interfaces[0], f"{NOBODY}\n")


def boot(fake: FpgaHost) -> None:
    write(fake.folder / "proc/sys/kernel/random/boot_id", "another-boot\n")


def unplug(fake: FpgaHost, address: str = ADDRESS) -> None:
    (fake.folder / "sys/bus/pci/devices" / address).unlink()
    for link in (fake.folder / "sys/class/fpga_region").iterdir():
        if address in str(link.readlink()):
            link.unlink()


async def test_a_dead_card_keeps_its_resource_over_a_restart(fake: FpgaHost) -> None:
    """What it is can only be known from what it was."""
    card = fake.card()
    await run_once(fake)
    kill(card)
    device = (await fake.devices())[FIRST]
    assert (device.resource, device.reason) == (
        AF,
        "interface id reads all ones; AFU id reads all ones",
    )


async def test_all_that_offers_go_by_is_kept(fake: FpgaHost) -> None:
    """Or a rule of the operator would put the sick card under another name."""
    card = fake.card()
    before = (await run_once(fake))[FIRST]
    kill(card)
    after = (await fake.devices())[FIRST]
    assert (after.attributes, after.location, after.numa_nodes) == (
        before.attributes,
        before.location,
        before.numa_nodes,
    )


async def test_a_card_without_its_driver_is_still_known(fake: FpgaHost) -> None:
    """After a restart, and after a boot at which the driver did not load."""
    card = fake.card()
    await run_once(fake)
    (card.folder / "driver").unlink()
    (fake.folder / "sys/class/fpga_region/region0").unlink()
    boot(fake)
    device = (await fake.devices())[FIRST]
    assert (device.resource, device.reason) == (
        AF,
        f"no driver is bound to PCI function {ADDRESS}",
    )


async def test_a_card_taken_out_is_forgotten_with_the_next_boot(fake: FpgaHost) -> None:
    """Until then its absence is a fault."""
    fake.card()
    await run_once(fake)
    unplug(fake)
    assert (await fake.devices())[FIRST].reason == f"PCI function {ADDRESS} is gone"
    boot(fake)
    assert await fake.devices() == {}


async def test_a_card_seen_since_the_boot_is_missed_when_it_goes(fake: FpgaHost) -> None:
    """It was forgotten had it not been seen."""
    fake.card()
    await run_once(fake)
    boot(fake)
    backend = fake.backend()
    await backend._remember()
    backend._look()
    unplug(fake)
    assert [*backend._look()[0].inventory.devices] == [FIRST]


async def test_a_card_given_to_another_driver_is_forgotten_with_the_next_boot(
    fake: FpgaHost,
) -> None:
    """It has found another use."""
    card = fake.card()
    await run_once(fake)
    (fake.folder / "sys/class/fpga_region/region0").unlink()
    (card.folder / "driver").unlink()
    (card.folder / "driver").symlink_to("../vfio-pci")
    assert FIRST in await fake.devices()
    boot(fake)
    assert await fake.devices() == {}


async def test_another_driver_may_come_late_after_the_boot(fake: FpgaHost) -> None:
    """The agent was there first, and saw a card without any."""
    card = fake.card()
    await run_once(fake)
    boot(fake)
    (fake.folder / "sys/class/fpga_region/region0").unlink()
    (card.folder / "driver").unlink()
    backend = fake.backend()
    await backend._remember()
    assert [*backend._look()[0].inventory.devices] == [FIRST]
    (card.folder / "driver").symlink_to("../vfio-pci")
    assert [*backend._look()[0].inventory.devices] == []


async def test_a_port_given_to_a_virtual_function_is_forgotten(fake: FpgaHost) -> None:
    """It is another device now, and no loss."""
    card = fake.card(AFU, AFU)
    await run_once(fake)
    card.ports[1].folder.rename(fake.folder / "gone")
    fake.cards.add_virtual(DFL, "0000:e1:00.1", card, afus={1: AFU})
    assert {each.id: each.reason for each in (await fake.devices()).values()} == {
        FIRST: "",
        "fpga-0000:e1:00.1-port1": "",
    }


async def test_ports_all_given_away_are_forgotten(fake: FpgaHost) -> None:
    """The physical function has its engine only."""
    card = fake.card()
    await run_once(fake)
    card.ports[0].folder.rename(fake.folder / "gone")
    card.engine.rename(fake.folder / "gone-too")
    fake.cards.add_virtual(DFL, "0000:e1:00.1", card, afus={0: AFU})
    assert FIRST not in await fake.devices()


async def test_a_virtual_function_that_is_removed_is_forgotten(fake: FpgaHost) -> None:
    """Its port returns to the card."""
    card = fake.cards.add(DFL, ADDRESS, interfaces=[INTERFACE], afus={})
    fake.cards.add_virtual(DFL, "0000:e1:00.1", card, afus={0: AFU})
    await run_once(fake)
    unplug(fake, "0000:e1:00.1")
    assert await fake.devices() == {}


async def test_a_new_afu_is_believed(fake: FpgaHost) -> None:
    """Only what is no id is made up for."""
    card = fake.card()
    await run_once(fake)
    card.ports[0].load(OTHER_AFU)
    assert (await fake.devices())[FIRST].resource.startswith("fpga.intel.com/af-695.56e.")


async def test_another_number_after_a_rebind_makes_no_second_device(fake: FpgaHost) -> None:
    """The kernel numbers ports anew."""
    card = fake.card()
    await run_once(fake)
    folder = card.ports[0].folder
    folder.rename(folder.with_name("dfl-port.7"))
    assert [*(await fake.devices())] == [FIRST]


@pytest.mark.parametrize(
    "change",
    [{"interface": "../x"}, {"afu": "F" * 31}, {"layout": "xyz"}, {"number": -1}, {"numa": [99]}],
)
async def test_a_file_with_odd_facts_does_no_harm(
    fake: FpgaHost, change: dict[str, object]
) -> None:
    """It is as good as none."""
    card = fake.card()
    other = fake.card(address="0000:e2:00.0")
    await run_once(fake)
    content = json.loads((fake.folder / STATE).read_text())
    content["ports"][0] |= change
    content["ports"].append(content["ports"][1] | {"name": "dfl-port.9"})
    write(fake.folder / STATE, json.dumps(content))
    kill(card)
    kill(other)
    (fake.folder / "sys/bus/pci/devices/0000:e2:00.0").unlink()
    (fake.folder / "sys/class/fpga_region/region2").unlink()
    found = await fake.devices()
    assert found["fpga-0000:e2:00.0-port0"].resource == AF


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"boot": 1, "ports": []}', b'{"boot": "a", "ports": [{}]}']
)
async def test_a_spoilt_file_is_logged_and_does_no_harm(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    """What is well is served all the same."""
    fake.card()
    write(fake.folder / STATE, content)
    assert [*(await fake.devices())] == [FIRST]
    assert [each.message for each in caplog.records] == ["state not read"]


async def test_a_directory_that_cannot_be_used_is_one_line_in_the_log(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture
) -> None:
    """And no harm."""
    card = fake.card()
    write(fake.folder / "var/lib/kubelet/device-plugins", "a file where a directory should be")
    with caplog.at_level(logging.WARNING):
        backend = fake.backend()
        await backend._remember()
        for afu in (AFU, OTHER_AFU, AFU):
            card.ports[0].load(afu)
            backend._state.write(backend._look()[0].known)
    assert [each.message for each in caplog.records] == ["state not read"]


async def test_a_file_that_cannot_be_written_is_one_line_in_the_log(
    fake: FpgaHost, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it is tried."""
    card = fake.card()
    backend = fake.backend()
    backend._state = State(HostRoot(Path("/proc")), "/nowhere")
    for afu in (AFU, OTHER_AFU):
        card.ports[0].load(afu)
        backend._state.write(backend._look()[0].known)
    assert [each.message for each in caplog.records] == ["state not kept"]
    assert fallbacks()["state of ports"].startswith("state not kept: /nowhere/ports.json: ")


async def test_a_backend_that_was_replaced_has_not_the_last_word(
    fake: FpgaHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its disk may have taken its time."""
    begun, ended = threading.Event(), threading.Event()

    def slowly(path: Path, data: bytes) -> None:
        monkeypatch.undo()
        begun.set()
        time.sleep(0.5)  # as long as a disk may take
        write_atomically(path, data)
        ended.set()

    monkeypatch.setattr(state, "write_atomically", slowly)
    card = fake.card()
    first = fake.backend()
    following = asyncio.create_task(_follow(first))
    await call(begun.wait, timeout=60)
    following.cancel()
    card.ports[0].load(OTHER_AFU)
    second = fake.backend(first.memory)
    following = asyncio.create_task(_follow(second))
    while second._state.lacks(second.memory.known):  # noqa: ASYNC110 - a thread tells
        await asyncio.sleep(0.01)
    await call(ended.wait, timeout=60)
    following.cancel()
    content = json.loads((fake.folder / STATE).read_text())
    assert [port["afu"] for port in content["ports"]] == [OTHER_AFU]


async def _follow(backend: FpgaBackend) -> None:
    async for _ in backend.inventories():
        pass


async def test_the_file_is_written_only_when_it_is_new(fake: FpgaHost) -> None:
    """Looks are frequent, disks wear out."""
    fake.card()
    backend = fake.backend()
    known = backend._look()[0].known
    assert backend._state.lacks(known)
    backend._state.write(known)
    assert not backend._state.lacks(backend._look()[0].known)


async def test_the_directory_may_be_another(fake: FpgaHost) -> None:
    """Wherever the agent may write."""
    fake.card()
    await run_once(fake, stateDir="/srv/state")
    content = json.loads((fake.folder / "srv/state/ports.json").read_text())
    assert [each["name"] for each in content["ports"]] == ["dfl-port.0"]


async def test_the_directory_may_be_behind_a_link_of_the_host(fake: FpgaHost) -> None:
    """It leads where the host has it."""
    fake.card()
    (fake.folder / "srv").symlink_to("/data")
    await run_once(fake, stateDir="/srv/state")
    assert (fake.folder / "data/state/ports.json").is_file()


async def test_a_port_that_was_never_well_is_not_made_up(fake: FpgaHost, tmp_path: Path) -> None:
    """There is no resource to list it under."""
    kill(fake.card())
    assert await fake.devices() == {}
    assert not (tmp_path / STATE).exists()
