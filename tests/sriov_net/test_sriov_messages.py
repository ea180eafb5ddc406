"""Messages of the kernel that this machine's cannot send, for lack of hardware: as bytes."""

import asyncio
import struct
from typing import Any

import pytest

from nodeplug_sriov_net import netlink
from nodeplug_sriov_net.conversation import Conversation
from nodeplug_sriov_net.devlink import Devlink
from nodeplug_sriov_net.network import Network
from support.sriov_host import FakeHost

# linux/if_link.h, linux/devlink.h
IFLA_IFNAME, IFLA_VFINFO_LIST, IFLA_VF_INFO, IFLA_VF_LINK_STATE = 3, 22, 1, 5
BUS, DEVICE, REPORTER, NAME, STATE = 1, 2, 114, 115, 116
RUNNING, VERSION_NAME, VERSION_VALUE = 101, 103, 104
DEVLINK_FAMILY, RECOVERED = 21, 54


def attribute(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def message(kind: int, body: bytes, number: int = 0, port: int = 0) -> bytes:
    return struct.pack("IHHII", 16 + len(body), kind, 0, number, port) + body


def link(*states: int) -> bytes:
    infos = [
        attribute(IFLA_VF_INFO, attribute(IFLA_VF_LINK_STATE, struct.pack("II", index, state)))
        for index, state in enumerate(states)
    ]
    head = struct.pack("BxHiII", 0, 1, 7, 0x1, 0)
    return head + text(IFLA_IFNAME, "ens1") + attribute(IFLA_VFINFO_LIST, *infos)


def reporter(name: str, state: int, bus: str = "pci") -> bytes:
    inside = text(NAME, name) + attribute(STATE, struct.pack("B", state))
    place = text(BUS, bus) + text(DEVICE, "0000:3b:00.0")
    return struct.pack("BBH", RECOVERED, 1, 0) + place + attribute(REPORTER, inside)


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
