"""What each port was like when it was well, so that a sick one keeps its resource."""

from collections.abc import Collection, Mapping
from threading import Lock
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from nodeplug.host.lane import Lane
from nodeplug.host.pci import pci_device
from nodeplug.host.reads import Reads
from nodeplug.host.root import HostRoot
from nodeplug_intel_fpga.complaints import Complaint, left_out
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.layouts import layout
from nodeplug_intel_fpga.sightings import Sighting

# Core does not wait for long.
_SENSOR_SECONDS: Final = 0.1

# Kernel, drivers/fpga/dfl-afu-main.c, id_show: the number has two bits. One read may fail alone.
_ONES: Final = 3

NOBODY: Final[Mapping[str, Complaint]] = MappingProxyType({})


class Settled(NamedTuple):
    """All ports, each with the best that is known of it, and why others are left out."""

    ports: tuple[Sighting, ...]
    left_out: dict[str, str]


class Memory:
    """The ports as they were, by what the kernel calls them.

    Ports that are not seen any more are kept while something on the host tells that they should
    be. `looking` is held while somebody looks: a backend that was replaced may still be at it.
    They are written down on the lane `disk`, so that one of those has not the last word. `reads`
    are those of cards, `gauges` those of their sensors, by turns on the lane `measuring`.
    """

    def __init__(self) -> None:
        self.looking = Lock()
        self.disk = Lane()
        self.measuring = Lane()
        self.reads = Reads()
        self.gauges = Reads(_SENSOR_SECONDS)
        self.known: Mapping[str, PortFacts] = {}
        self._former: frozenset[str] = frozenset()

    def recall(self, known: Mapping[str, PortFacts], former: Collection[str] = ()) -> None:
        """Take over what an agent before this one wrote down; some of it before the last boot."""
        self.known = dict(known)
        self._former = frozenset(former)

    def settle(
        self, root: HostRoot, seen: list[Sighting], silent: Mapping[str, Complaint] = NOBODY
    ) -> Settled:
        """Complete what is seen by what is known, and learn from it.

        `silent` are the functions of which nothing may be seen, for they do not answer.
        """
        ports, others = _told_apart([self._completed(each) for each in seen])
        here = {each.facts.key for each in seen}
        absent = [
            Sighting(facts, (silent.get(facts.address) or Complaint("absent", reason),))
            for facts in self.known.values()
            if facts.key not in here
            if (reason := self._why_absent(root, facts, seen)) or facts.address in silent
        ]
        by_id = {each.facts.id: each for each in (*absent, *ports)}
        ports = [*by_id.values()]
        self.known = {each.facts.key: each.facts for each in ports}
        self._former &= {each.facts.key for each in absent}
        return Settled(tuple(ports), others)

    def _completed(self, port: Sighting) -> Sighting:
        before = self.known.get(port.facts.key)
        if before is None:
            return port
        # What reads all ones now did so when other registers of the card were read, perhaps.
        facts = before.filled(port.facts) if port.doubtful else port.facts.filled(before)
        if facts.number == _ONES and (facts.interface, facts.afu) == (before.interface, before.afu):
            facts = msgspec.structs.replace(facts, number=before.number)
        return port._replace(facts=facts)

    def _why_absent(self, root: HostRoot, facts: PortFacts, seen: list[Sighting]) -> str:
        """Return why a port is not there; empty where it is right that it is not."""
        if any(each.facts.address == facts.address for each in seen):
            return ""  # given to a virtual function, or under another name
        function = pci_device(root, facts.address)
        if function is None:
            gone = facts.virtual or facts.key in self._former
            return "" if gone else f"PCI function {facts.address} is gone"
        if function.driver is None:
            return f"no driver is bound to PCI function {facts.address}"
        if function.driver == layout(facts.layout).driver:
            return "" if _gave_all(root, facts) else "the driver shows no port"
        other = f"driver {function.driver} is bound to PCI function {facts.address}"
        return "" if facts.key in self._former else other


def _gave_all(root: HostRoot, facts: PortFacts) -> bool:
    """Whether the card has virtual functions, which may have all its ports."""
    return (root.sys / f"bus/pci/devices/{facts.address}/virtfn0").is_symlink()


def _told_apart(seen: list[Sighting]) -> tuple[list[Sighting], dict[str, str]]:
    """Return the ports that have an id of their own, and why the others do not."""
    ports: dict[str, Sighting] = {}
    others: dict[str, str] = {}
    for each in seen:
        facts = each.facts
        if facts.number < 0:
            reason = "its number on the card cannot be known"
            others[facts.key] = left_out(reason, each.complaints)
        elif facts.id in ports:
            other = ports[facts.id].facts.name
            others[facts.key] = f"says that it is number {facts.number}, as {other} does"
        else:
            ports[facts.id] = each
    return [*ports.values()], others
