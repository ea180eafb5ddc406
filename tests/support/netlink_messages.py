"""Messages of the kernel over netlink, as bytes."""

import struct

# linux/if_link.h, linux/devlink.h
IFLA_IFNAME, IFLA_VFINFO_LIST, IFLA_VF_INFO, IFLA_VF_LINK_STATE = 3, 22, 1, 5
BUS, DEVICE, REPORTER, NAME, STATE = 1, 2, 114, 115, 116
DEVLINK_FAMILY, RECOVERED = 21, 54


def attribute(kind: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack("HH", 4 + len(body), kind) + body + bytes(-len(body) % 4)


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def message(kind: int, body: bytes, number: int = 0, port: int = 0) -> bytes:
    return struct.pack("IHHII", 16 + len(body), kind, 0, number, port) + body


def link(*states: int, index: int = 7, name: str = "ens1") -> bytes:
    """Return a link that is up, with the states of its virtual functions."""
    infos = [
        attribute(IFLA_VF_INFO, attribute(IFLA_VF_LINK_STATE, struct.pack("II", number, state)))
        for number, state in enumerate(states)
    ]
    head = struct.pack("BxHiII", 0, 1, index, 0x1, 0)
    return head + text(IFLA_IFNAME, name) + attribute(IFLA_VFINFO_LIST, *infos)


def reporter(name: str, state: int, bus: str = "pci", device: str = "0000:3b:00.0") -> bytes:
    inside = text(NAME, name) + attribute(STATE, struct.pack("B", state))
    place = text(BUS, bus) + text(DEVICE, device)
    return struct.pack("BBH", RECOVERED, 1, 0) + place + attribute(REPORTER, inside)
