"""RDMA devices that lie upon a network device, as `rdma link` finds them: rdma_rxe and siw.

They are below no PCI function in sysfs. Numbers are those of rdma/rdma_netlink.h.
"""

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import names_in, read_text
from nodeplug_sriov_net.facts import Rdma
from nodeplug_sriov_net.netlink import Attributes, Message, ask, attribute, attributes, number
from nodeplug_sriov_net.reading import RDMA_NODES, devpath_at

_PROTOCOL: Final = 20
_GET, _PORT_GET = 5 << 10 | 1, 5 << 10 | 5
_INDEX, _NAME, _LINK = 1, 2, 50

RdmaByLink = Mapping[int, Sequence[Rdma]]


def soft_devices(root: HostRoot) -> Collection[str]:
    """Return the names of RDMA devices that are on no bus."""
    place = "/sys/class/infiniband"
    names = names_in(root.path(place))
    return [n for n in names if devpath_at(root, f"{place}/{n}").startswith("/devices/virtual/")]


def read_soft_rdma(root: HostRoot, names: Collection[str]) -> RdmaByLink:
    """Return these RDMA devices by the index of the link that they lie upon. Blocks.

    Raises OSError where the kernel refuses.
    """
    found: dict[int, list[Rdma]] = {}
    for device in _answers(_GET, b""):
        name = device.get(_NAME, b"").partition(b"\0")[0].decode(errors="replace")
        body = attribute(_INDEX, struct.pack("=I", number(device, _INDEX)))
        for port in _answers(_PORT_GET, body) if name in names else ():
            if link := number(port, _LINK):
                found.setdefault(link, []).append(Rdma(name, tuple(_nodes(root, name))))
    return found


def _answers(kind: int, body: bytes) -> Iterator[Attributes]:
    answer = ask(_PROTOCOL, kind, body, dump=True, keep=_any)
    return (attributes(message.body) for message in answer.messages)


def _any(_: Message) -> bool:
    return True


def _nodes(root: HostRoot, name: str) -> Iterator[str]:
    for folder, prefix in RDMA_NODES:
        for node in names_in(root.sys / "class" / folder):
            owner = read_text(f"{root.sys}/class/{folder}/{node}/ibdev")
            if node.startswith(prefix) and owner == name:
                yield f"/dev/infiniband/{node}"
