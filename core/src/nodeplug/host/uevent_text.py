"""The texts in which uevents travel: the kernel's own and libudev's."""

import struct
from collections.abc import Mapping

from nodeplug.host.uevents import Uevent

# libudev's header, as it sends to its own group (systemd, sd-device/device-monitor.c): the word,
# a magic number in network order, then size of the header, offset and length of the properties.
_LIBUDEV = b"libudev\0"
_LIBUDEV_MAGIC = struct.pack(">I", 0xFEEDCAFE)
_LIBUDEV_OFFSETS = struct.Struct("=8x4x4xII")


def parse(datagram: bytes) -> Uevent:
    """Return the event in a datagram; raise ValueError where it is none."""
    if datagram.startswith(_LIBUDEV):
        return _event(_pairs(_libudev_body(datagram)))
    header, _, body = datagram.partition(b"\0")
    action, at, devpath = header.decode(errors="replace").partition("@")
    if not at:
        raise ValueError(f"neither a kernel event nor libudev's: {header[:64]!r}")
    return _event({"ACTION": action, "DEVPATH": devpath, **_pairs(body)})


def render(event: Uevent) -> bytes:
    """Return the kernel's text for an event; raise ValueError for a zero byte in a value."""
    own = {"ACTION": event.action, "DEVPATH": event.devpath, "SUBSYSTEM": event.subsystem}
    name = {"DEVNAME": event.devname.removeprefix("/dev/")} if event.devname else {}
    pairs = [f"{key}={value}" for key, value in {**event.properties, **own, **name}.items()]
    if any("\0" in pair for pair in pairs):
        raise ValueError(f"a zero byte in an event of {event.devpath!r}")
    return "\0".join((f"{event.action}@{event.devpath}", *pairs, "")).encode()


def _libudev_body(datagram: bytes) -> bytes:
    if datagram[8:12] != _LIBUDEV_MAGIC or len(datagram) < _LIBUDEV_OFFSETS.size:
        raise ValueError("libudev event with a broken header")
    offset, length = _LIBUDEV_OFFSETS.unpack_from(datagram)
    return datagram[offset : offset + length]


def _pairs(body: bytes) -> dict[str, str]:
    texts = [text for text in body.decode(errors="replace").split("\0") if text]
    return dict(text.split("=", 1) for text in texts)


def _event(properties: Mapping[str, str]) -> Uevent:
    action, devpath = properties.get("ACTION", ""), properties.get("DEVPATH", "")
    if not action or not devpath.startswith("/"):
        raise ValueError(f"event without action or device: {action!r}, {devpath!r}")
    # The kernel names the node within /dev, libudev in full.
    name = properties.get("DEVNAME", "")
    if name:
        name = "/dev/" + name.removeprefix("/dev/")
        properties = {**properties, "DEVNAME": name}
    return Uevent(action, devpath, properties.get("SUBSYSTEM", ""), name, properties)
