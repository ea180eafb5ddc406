"""Each port as it is seen now: its facts, and what is wrong with it."""

from typing import Final, NamedTuple

from nodeplug.host.pci import PciDevice, pci_device
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import read_int, read_text
from nodeplug_intel_fpga.complaints import Complaint
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.health import engine_complaints, function_complaints, port_complaints
from nodeplug_intel_fpga.ids import good_id, why_bad
from nodeplug_intel_fpga.survey import Function, Part, Survey, survey
from nodeplug_intel_fpga.tree import find

# Kernel, drivers/fpga/dfl.h: a card has at most so many ports.
_PORTS_LIMIT: Final = 4
# What a register reads when nobody answers.
_NOBODY: Final = (1 << 64) - 1


class Sighting(NamedTuple):
    """A port; the facts hold what can be known of it now."""

    facts: PortFacts
    complaints: tuple[Complaint, ...]


class _Card(NamedTuple):
    """What the ports of one card have in common: the engine and what it says."""

    engine: Part | None = None
    interfaces: tuple[str | None, ...] = ()
    bitstream: str = ""
    complaints: tuple[Complaint, ...] = ()


class _Answers(NamedTuple):
    """What registers of a port and of its card read."""

    number: int
    interface: str | None
    afu: str | None


class Target(NamedTuple):
    """A port that can be programmed, its engine, and what it reads now; ids are good or empty."""

    driver: str
    engine: Part
    port: Part
    number: int
    interface: str
    afu: str


def target(root: HostRoot, key: str) -> Target | None:
    """Return the port "address/name" if it is there and its function has the engine. Blocks."""
    for function in survey(root).functions:
        for port in function.ports:
            if function.engine is not None and f"{function.address}/{port.name}" == key:
                answers = _ask(port, _card(root, function))
                ids = good_id(answers.interface), good_id(answers.afu)
                return Target(function.layout.name, function.engine, port, answers.number, *ids)
    return None


def sightings(root: HostRoot, seen: Survey) -> list[Sighting]:
    """Return all ports of a survey; what is odd joins its troubles.

    Blocks: it reads registers of the cards.
    """
    cards: dict[str, _Card] = {}
    for function in seen.functions:
        with seen.troubles.alone(function.address):
            cards[function.address] = _card(root, function)
    found: list[Sighting] = []
    for function in seen.functions:
        with seen.troubles.alone(function.address):
            found += _ports(root, function, cards.get(function.card, _Card()))
    return found


def _card(root: HostRoot, function: Function) -> _Card:
    engine, layout = function.engine, function.layout
    if engine is None:
        return _Card()
    bitstream = read_int(engine.place / "bitstream_id")
    return _Card(
        engine,
        tuple(read_text(file) for file in find(engine.place, layout.interfaces)),
        f"{bitstream:x}" if bitstream is not None and 0 <= bitstream < _NOBODY else "",
        tuple(engine_complaints(root, layout, engine)),
    )


def _ports(root: HostRoot, function: Function, card: _Card) -> list[Sighting]:
    pci = pci_device(root, function.address)
    common = (*function_complaints(root, function), *card.complaints)
    found = []
    for port in function.ports:
        answers = _ask(port, card)
        own = (*_bad_ids(answers), *common, *port_complaints(root, port))
        found.append(Sighting(_facts(function, card, port, answers, pci), own))
    return found


def _ask(port: Part, card: _Card) -> _Answers:
    number = read_int(port.place / "id")
    number = -1 if number is None or not 0 <= number < _PORTS_LIMIT else number
    interface, afu = _interface(card, number), read_text(port.place / "afu_id")
    # Registers of a card that does not answer read all ones, the number of a port too.
    answers = good_id(interface) or good_id(afu)
    return _Answers(number if answers else -1, interface, afu)


def _interface(card: _Card, number: int) -> str | None:
    """Return the interface id of a port: the kernel makes regions in the order of ports."""
    if len(set(card.interfaces)) == 1:
        return card.interfaces[0]
    return card.interfaces[number] if 0 <= number < len(card.interfaces) else None


def _facts(
    function: Function, card: _Card, port: Part, answers: _Answers, pci: PciDevice | None
) -> PortFacts:
    above = function.devpath.split("/")[2:-1]
    return PortFacts(
        address=function.address,
        card=function.card,
        name=port.name,
        number=answers.number,
        layout=function.layout.name,
        node=port.node,
        engine_node=function.engine.node if function.engine else "",
        interface=good_id(answers.interface),
        afu=good_id(answers.afu),
        bitstream=card.bitstream,
        pci_id=f"{pci.vendor}:{pci.device}" if pci else "",
        numa=pci.numa if pci else (),
        places=(*above, *dict.fromkeys((function.card, function.address))),
    )


def _bad_ids(answers: _Answers) -> list[Complaint]:
    found = []
    if not good_id(answers.interface):
        found.append(Complaint("interface", f"interface id {why_bad(answers.interface)}"))
    if not good_id(answers.afu):
        found.append(Complaint("afu", f"AFU id {why_bad(answers.afu)}"))
    return found
