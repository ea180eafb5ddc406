"""Claims about the texts in which uevents travel."""

import struct

import pytest

from nodeplug.host.uevent_text import parse, render
from nodeplug.host.uevents import Uevent

KERNEL = b"add@/devices/x\0ACTION=add\0DEVPATH=/devices/x\0SUBSYSTEM=usb\0DEVNAME=bus/usb/001/002\0"
EVENT = Uevent(
    "add",
    "/devices/x",
    "usb",
    "/dev/bus/usb/001/002",
    {
        "ACTION": "add",
        "DEVPATH": "/devices/x",
        "SUBSYSTEM": "usb",
        "DEVNAME": "/dev/bus/usb/001/002",
    },
)


def libudev(body: bytes, magic: int = 0xFEEDCAFE) -> bytes:
    """Frame properties as libudev does, with the trailing filter words of its header."""
    return (
        b"libudev\0"
        + struct.pack(">I", magic)
        + struct.pack("=III", 40, 40, len(body))
        + (b"\0" * 16 + body)
    )


def test_the_kernel_text_is_read() -> None:
    """The kernel's text gives the event, its node named in full."""
    assert parse(KERNEL) == EVENT


def test_libudev_framing_is_read() -> None:
    """The same properties in libudev's frame give the same event."""
    body = KERNEL.partition(b"\0")[2].replace(b"DEVNAME=", b"DEVNAME=/dev/")
    assert parse(libudev(body)) == EVENT


def test_the_header_alone_gives_action_and_device() -> None:
    """A simulator may leave out what the first line says already."""
    event = parse(b"remove@/devices/y\0SUBSYSTEM=tty\0")
    assert (event.action, event.devpath, event.subsystem) == ("remove", "/devices/y", "tty")


def test_a_value_may_hold_an_equals_sign() -> None:
    """Only the first equals sign parts key and value."""
    assert parse(b"add@/devices/x\0KEY=a=b\0").properties["KEY"] == "a=b"


def test_bytes_that_are_no_text_are_replaced() -> None:
    """A device's odd name does not make its event unreadable."""
    assert parse(b"add@/devices/x\0NAME=\xff\0").properties["NAME"] == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\0",
        b"noise",
        b"@/devices/x\0",
        b"add@devices/x\0",
        b"add@/devices/x\0no-pair\0",
        b"libudev\0",
        libudev(b"ACTION=add\0DEVPATH=/devices/x\0", magic=0xDEADBEEF),
        libudev(b"ACTION=add\0"),
        libudev(b"")[:20],
    ],
)
def test_what_is_no_event_is_refused(datagram: bytes) -> None:
    """Everything unreadable is one kind of error."""
    with pytest.raises(ValueError, match=r".+"):
        parse(datagram)


def test_rendered_events_are_read_back() -> None:
    """What a simulator writes is what the agent reads."""
    assert parse(render(EVENT)) == EVENT


def test_rendered_events_are_in_the_kernels_words() -> None:
    """The node is named within /dev, as the kernel does."""
    assert b"\0DEVNAME=bus/usb/001/002\0" in render(EVENT)


def test_a_zero_byte_cannot_smuggle_in_a_property() -> None:
    """A value with a zero byte would read as two properties."""
    with pytest.raises(ValueError, match="zero byte"):
        render(Uevent("add", "/devices/x", "usb", "", {"SERIAL": "1\0DEVNAME=sda"}))
