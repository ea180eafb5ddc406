"""Messages of the kernel that this machine's cannot send, for lack of hardware: as bytes."""

import asyncio
import struct
from typing import Any

import pytest

from nodeplug_sriov_net import netlink
from nodeplug_sriov_net.candidates import main_link
from nodeplug_sriov_net.conversation import Conversation
from nodeplug_sriov_net.devlink import Devlink
from nodeplug_sriov_net.network import Network
from support.netlink_messages import (
    DEVLINK_FAMILY,
    attribute,
    link,
    message,
    reporter,
    text,
)
from support.sriov_host import FakeHost

RUNNING, VERSION_NAME, VERSION_VALUE = 101, 103, 104
PHYS_PORT_NAME = 38


def decoded(socket: Any, data: bytes) -> Any:
    (found,) = socket.marshal.parse(data)
    return found


def test_states_of_functions_are_read(fake: FakeHost) -> None:
    """Automatic, enabled, disabled."""
    network = Network(fake.host.root, lambda _: None)
    found = decoded(network._socket, message(netlink.NEWLINK, link(0, 1, 2)))
    assert dict(netlink.function_states(found)) == {0: "auto", 1: "enable", 2: "disable"}


@pytest.fixture
def devlink() -> Devlink:
    marks.clear()
    found = Devlink(marks.append)
    types = found._socket.marshal.msg_map
    types[DEVLINK_FAMILY] = types[netlink.REPORTER_GET]
    found._socket._listening = True
    found._stale = False
    return found


marks: list[object] = []


def hear(devlink: Devlink, body: bytes) -> None:
    devlink._socket.enqueue(message(DEVLINK_FAMILY, body), None)


def test_an_odd_message_takes_no_other_along(fake: FakeHost) -> None:
    """The kernel tells several links in one packet, and each ends where it says."""
    network = Network(fake.host.root, lambda _: None)
    first, last = (link(index=number, name=f"ens{number}") for number in (1, 3))
    packet = b"".join(message(netlink.NEWLINK, body) for body in (first, bytes(4), last))
    network._socket.enqueue(packet, None)
    assert network.links.keys() == {1, 3}


def test_names_that_are_no_unicode_are_texts(fake: FakeHost) -> None:
    """The kernel takes nearly any bytes for the name of a link or a port."""
    network = Network(fake.host.root, lambda _: None)
    port = attribute(PHYS_PORT_NAME, b"p\xff0\0")
    network._socket.enqueue(message(netlink.NEWLINK, link() + port), None)
    assert main_link([*network.links.values()]) == network.links[7]


async def test_a_failed_reporter_is_told_and_so_is_its_recovery(devlink: Devlink) -> None:
    """Once each, by the address of the device."""
    for state in (0, 1, 1):
        hear(devlink, reporter("fw_fatal", state))
    told = await devlink.failed()
    hear(devlink, reporter("fw_fatal", 0))
    assert (told, await devlink.failed(), len(marks)) == (
        {"0000:3b:00.0": ["fw_fatal"]},
        {},
        3,
    )


async def test_a_device_that_is_not_on_pci_is_nobodys(devlink: Devlink) -> None:
    """Its name would be that of another kind."""
    hear(devlink, reporter("fw", 1, bus="auxiliary"))
    assert not await devlink.failed()


def test_the_package_of_a_device_is_read(devlink: Devlink) -> None:
    """Among the versions that run on it."""
    versions = [
        attribute(RUNNING, text(VERSION_NAME, name), text(VERSION_VALUE, value))
        for name, value in (("fw.mgmt", "7.1"), ("fw.app.name", "ICE COMMS Package"))
    ]
    body = struct.pack("BBH", netlink.INFO_GET, 1, 0) + b"".join(versions)
    found = decoded(devlink._socket, message(DEVLINK_FAMILY, body))
    assert netlink.ddp_package(found) == "ICE COMMS Package"


async def test_without_devlink_a_kernel_says_so() -> None:
    """It is an error of the system, which callers expect."""
    devlink = Devlink(marks.append)
    try:
        await devlink.open()
    except OSError:
        return
    finally:
        devlink.close()
    assert await devlink.failed() is not None


def answer(kind: int, number: int, flags: int = 0, body: bytes = b"") -> bytes:
    return struct.pack("IHHII", 16 + len(body), kind, flags, number, 1) + body


DONE, ERROR, MULTI, INTERRUPTED = 3, 2, 0x2, 0x10
REFUSED = struct.pack("i", -1) + struct.pack("IHHII", 16, netlink.GETLINK, 0, 7, 1)


@pytest.mark.parametrize(
    ("sent", "whole"),
    [
        (answer(DONE, 7, MULTI, bytes(4)), True),
        (answer(ERROR, 7, 0, bytes(4) + REFUSED[4:]), True),
        (answer(DONE, 7, MULTI | INTERRUPTED, bytes(4)), False),
        (answer(netlink.NEWLINK, 7, MULTI | INTERRUPTED, link()), False),
        (b"", False),
    ],
    ids=["end", "acknowledged", "interrupted end", "interrupted", "lost"],
)
async def test_an_answer_is_whole_or_not(fake: FakeHost, sent: bytes, *, whole: bool) -> None:
    """A dump during which things changed, or of which a part was lost, is asked for again."""
    socket, talk = Network(fake.host.root, lambda _: None)._socket, Conversation()
    waiting = asyncio.ensure_future(talk.answered(7))
    await asyncio.sleep(0)
    if sent:
        talk.takes(decoded(socket, sent))
    else:
        talk.lost()
    assert await waiting is whole


async def test_a_refused_question_is_an_error_of_the_system(fake: FakeHost) -> None:
    """Callers decide what to do without the answer."""
    socket, talk = Network(fake.host.root, lambda _: None)._socket, Conversation()
    waiting = asyncio.ensure_future(talk.answered(7))
    await asyncio.sleep(0)
    talk.takes(decoded(socket, answer(ERROR, 7, 0, REFUSED)))
    with pytest.raises(PermissionError):
        await waiting


async def test_an_answer_goes_on_until_its_end(fake: FakeHost) -> None:
    """Links of it are taken over, those of other questions are not."""
    socket, talk = Network(fake.host.root, lambda _: None)._socket, Conversation()
    waiting = asyncio.ensure_future(talk.answered(7))
    await asyncio.sleep(0)
    taken = [talk.takes(decoded(socket, answer(netlink.NEWLINK, n, 0, link()))) for n in (7, 8)]
    waiting.cancel()
    assert taken == [True, False]
