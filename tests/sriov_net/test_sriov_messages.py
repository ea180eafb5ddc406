"""Messages of the kernel that this machine's cannot send, for lack of hardware: as bytes."""

import struct

import pytest

from nodeplug_sriov_net import links, netlink
from nodeplug_sriov_net.candidates import main_link
from nodeplug_sriov_net.devlink import INFO_GET, Devlink, Family, packages_of
from nodeplug_sriov_net.network import Network
from support.netlink_messages import (
    BUS,
    DEVICE,
    DEVLINK_FAMILY,
    attribute,
    link,
    message,
    reporter,
    text,
)
from support.sriov_host import FakeHost

RUNNING, VERSION_NAME, VERSION_VALUE = 101, 103, 104
PHYS_PORT_NAME, LINKINFO = 38, 18


def decoded(data: bytes) -> netlink.Message:
    (found,) = netlink.messages(data)
    return found


def test_states_of_functions_are_read() -> None:
    """Automatic, enabled, disabled."""
    found = decoded(message(links.NEWLINK, link(0, 1, 2)))
    assert dict(links.function_states(found)) == {0: "auto", 1: "enable", 2: "disable"}


@pytest.fixture
def devlink() -> Devlink:
    marks.clear()
    found = Devlink(marks.append)
    found._family = Family(DEVLINK_FAMILY, 0)
    found._all_reporters.spoilt = False
    return found


marks: list[object] = []


def hear(devlink: Devlink, body: bytes) -> None:
    devlink._listener.take(message(DEVLINK_FAMILY, body))


def test_an_odd_message_takes_no_other_along(fake: FakeHost) -> None:
    """The kernel tells several links in one packet, and each ends where it says."""
    network = Network(fake.host.root, lambda _: None)
    first, last = (link(index=number, name=f"ens{number}") for number in (1, 3))
    packet = b"".join(message(links.NEWLINK, body) for body in (first, bytes(4), last))
    network._listener.take(packet)
    assert network.links.keys() == {1, 3}


def test_names_that_are_no_unicode_are_texts(fake: FakeHost) -> None:
    """The kernel takes nearly any bytes for the name of a link or a port."""
    network = Network(fake.host.root, lambda _: None)
    port = attribute(PHYS_PORT_NAME, b"p\xff0\0")
    network._listener.take(message(links.NEWLINK, link() + port))
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


def test_the_package_of_a_device_is_read() -> None:
    """Among the versions that run on it."""
    versions = [
        attribute(RUNNING, text(VERSION_NAME, name), text(VERSION_VALUE, value))
        for name, value in (("fw.mgmt", "7.1"), ("fw.app.name", "ICE COMMS Package"))
    ]
    place = text(BUS, "pci") + text(DEVICE, "0000:3b:00.0")
    body = struct.pack("BBH", INFO_GET, 1, 0) + place + b"".join(versions)
    found = decoded(message(DEVLINK_FAMILY, body))
    assert dict(packages_of(found)) == {"0000:3b:00.0": "ICE COMMS Package"}


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


def test_what_a_link_is_and_what_it_is_a_port_of_is_read() -> None:
    """As of a port of an Open vSwitch, which `ip -details link` shows so."""
    info = attribute(LINKINFO, text(1, "bond"), text(4, "openvswitch"))
    found = links.link_of(decoded(message(links.NEWLINK, link() + info)))
    assert found is not None
    assert (found.driver, found.port_of) == ("bond", "openvswitch")
