"""Packets of the kernel in which one message is odd: the others must be heard."""

import random
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fuzz.bitstreams import mutated
from fuzz.engine import Feed
from nodeplug.host.root import HostRoot
from nodeplug_sriov_net import links
from nodeplug_sriov_net.devlink import Devlink, Family
from nodeplug_sriov_net.network import Network
from support.netlink_messages import DEVLINK_FAMILY, link, message, reporter, text

_HEADER = 16
# linux/if_link.h: hardware address, MTU, switch and port, master.
_MORE = b"".join(text(kind, value) for kind, value in ((1, "\2\0\0\0\0"), (36, "b8ce"), (38, "p0")))
# linux/rtnetlink.h: a default route of the main table, out of link 7.
_ROUTE = struct.pack("8BI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + struct.pack("HHI", 8, 4, 7)


def packets(dice: random.Random) -> Iterator[bytes]:
    """Yield packets for ever: the first byte says which message of three is odd."""
    while True:
        kind, bodies = dice.choice(list(_BODIES.items()))
        whole = [message(kind, body) for body in bodies]
        odd = dice.randrange(len(whole))
        if dice.randrange(4):
            whole[odd] = message(kind, _spoilt(bodies[odd], dice))
        else:
            odd, whole = len(whole), [mutated(b"".join(whole), dice)]
        yield bytes([odd]) + b"".join(whole)


def _spoilt(body: bytes, dice: random.Random) -> bytes:
    """Return another body, of a length that the kernel pads to."""
    body = mutated(body, dice)
    return body + bytes(-len(body) % 4)


_LINKS = tuple(link(0, 1, 2, index=number, name=f"ens{number}") + _MORE for number in (1, 2, 3))
_PLACE = "0000:3b:00."
_REPORTERS = tuple(reporter("fw", 1, device=f"{_PLACE}{number}") for number in (1, 2, 3))
_BODIES = {
    links.NEWLINK: _LINKS,
    links.NEWROUTE: (_ROUTE,) * 3,
    DEVLINK_FAMILY: _REPORTERS,
}


@contextmanager
def feed() -> Iterator[Feed]:
    """Hand packets to those who listen."""
    yield _heard


def _heard(data: bytes) -> str:
    odd, packet = data[0], data[1:]
    kind = struct.unpack_from("H", packet, 4)[0] if len(packet) > _HEADER else 0
    network, devlink = Network(HostRoot(Path("/")), _nobody), Devlink(_nobody)
    devlink._family = Family(DEVLINK_FAMILY, 0)
    (devlink if kind == DEVLINK_FAMILY else network)._listener.take(packet)
    found = network.links.values()
    sound = {number for number in range(3) if number != odd} if odd < 3 else set()
    known = {
        links.NEWLINK: {number - 1 for number in network.links},
        DEVLINK_FAMILY: {
            at - 1 for at in range(4) if (f"{_PLACE}{at}", "fw") in devlink._reporters
        },
    }
    assert sound <= known.get(kind, sound), (odd, known)
    assert all(isinstance(text, str) for each in devlink._reporters for text in each)
    assert all(isinstance(each.name + each.address + each.port, str) for each in found)
    return f"{kind}: {len(network.links) + len(devlink._reporters)} known"


def _nobody(_: object) -> None:
    pass
