"""Each port as it is seen now: its facts, and what is wrong with it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from nodeplug.host.reads import Question, Reads
from nodeplug.host.root import HostRoot
from nodeplug_intel_fpga.complaints import Complaint
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.gauges import Gauges
from nodeplug_intel_fpga.ids import good_id, why_bad
from nodeplug_intel_fpga.registers import Engine, Port, Reading, read_function
from nodeplug_intel_fpga.survey import Function, Part, Survey, survey

_WAIT: Final = "wait if a port is being programmed; else see the kernel's log, and reset the card"


class Sighting(NamedTuple):
    """A port; the facts hold what can be known of it now.

    `doubtful` says that something of it reads all ones: what was known before is worth more.
    """

    facts: PortFacts
    complaints: tuple[Complaint, ...]
    doubtful: bool = False


class Sightings(NamedTuple):
    """All ports that could be read, those that are `silent` by function, sensors by card."""

    ports: list[Sighting]
    silent: Mapping[str, Complaint]
    gauges: Mapping[str, Gauges]


class Target(NamedTuple):
    """A port that can be programmed, its engine, and what it reads now; ids are good or empty."""

    driver: str
    engine: Part
    port: Part
    number: int
    interface: str
    afu: str


class _Card(NamedTuple):
    """What the ports of one card have in common."""

    engine: Engine | None = None
    dead: bool = False
    complaints: tuple[Complaint, ...] = ()


def target(root: HostRoot, key: str) -> Target | None:
    """Return the port "address/name" if it is there and its function has the engine. Blocks."""
    for function in survey(root).functions:
        names = [f"{function.address}/{port.name}" for port in function.ports]
        if key in names and function.engine is not None:
            found = read_function(root, function)
            port, card = found.ports[names.index(key)], _card(found)
            number, interface = _number(port, card)
            assert found.engine is not None
            engine = found.engine.part
            return Target(function.layout.name, engine, port.part, number, interface, port.afu)
    return None


def sightings(root: HostRoot, seen: Survey, reads: Reads) -> Sightings:
    """Return all ports of a survey; what is odd joins its troubles.

    A card that does not answer holds up only itself: it is as it was, and after a while `silent`.
    """
    answers = reads.ask(
        {
            f"{each.address} {each.name}": Question(
                each.address, "its registers", partial(read_function, root, each)
            )
            for each in seen.functions
        }
    )
    found: list[tuple[Function, Reading]] = []
    silent: dict[str, Complaint] = {}
    for function, answer in zip(seen.functions, answers.values(), strict=True):
        address = function.address
        if answer.trouble or answer.pending:
            text = f"PCI function {address} {answer.trouble or 'has not answered yet'}"
            silent[address] = Complaint("silent", text, _WAIT)
        with seen.troubles.alone(address):
            reading = answer.get()
            if reading is not None:
                found.append((function, reading))
            elif answer.trouble:
                seen.troubles[address] = silent[address].text
    cards = {each.address: _card(reading) for each, reading in found}
    ports: list[Sighting] = []
    for function, reading in found:
        with seen.troubles.alone(function.address):
            _tell_without_ports(root, seen, function)
            waiting = [silent[a] for a in {function.card, function.address} if a in silent]
            ports += _ports(function, reading, cards.get(function.card, _Card()), waiting)
    gauges = {f.address: each.engine.gauges for f, each in found if each.engine}
    return Sightings(ports, silent, gauges)


def _tell_without_ports(root: HostRoot, seen: Survey, function: Function) -> None:
    given = (root.sys / f"bus/pci/devices/{function.address}/virtfn0").is_symlink()
    if function.engine is not None and not function.ports and not given:
        text = f"{function.engine.name} shows no port: it has none, or they are released"
        seen.troubles[function.address] = text


def _card(reading: Reading) -> _Card:
    engine = reading.engine
    return _Card(engine, reading.dead, engine.complaints if engine else ())


def _ports(
    function: Function, reading: Reading, card: _Card, silent: Sequence[Complaint]
) -> list[Sighting]:
    found = []
    for port in reading.ports:
        known = _number(port, card)
        trouble = _interface_trouble(card.engine, known[1], port)
        own = (*silent, *trouble, *port.complaints, *reading.complaints, *card.complaints)
        facts = _facts(function, card, port, reading, known)
        found.append(Sighting(facts, own, port.doubtful or card.dead or reading.dead))
    return found


def _number(port: Port, card: _Card) -> tuple[int, str]:
    """Return a port's number and its good interface id, -1 and "" where they are not known."""
    text = _interface(card.engine, port.number)
    # Registers of a card that does not answer read all ones, the number of a port too; the kernel
    # keeps interface ids (drivers/fpga/dfl-fme-mgr.c), so that they prove nothing.
    answers = not port.dead and (port.afu or (good_id(text) and not card.dead))
    return port.number if answers else -1, good_id(text)


def _interface(engine: Engine | None, number: int) -> str | None:
    """Return the interface id of a port: the kernel makes regions in the order of ports."""
    texts = engine.interfaces if engine else ()
    if len(set(texts)) == 1:
        return texts[0]
    return texts[number] if 0 <= number < len(texts) else None


def _interface_trouble(engine: Engine | None, interface: str, port: Port) -> list[Complaint]:
    if interface:
        return []
    if engine is not None and not engine.interfaces:
        text = f"{engine.part.name} has no interface id: it offers no partial reconfiguration"
        return [Complaint("interface", text, "see the kernel's log of the card's engine")]
    why = why_bad(_interface(engine, port.number))
    return [Complaint("interface", f"interface id {why}", "reset the card")]


def _facts(
    function: Function, card: _Card, port: Port, reading: Reading, known: tuple[int, str]
) -> PortFacts:
    above, pci, engine = function.devpath.split("/")[2:-1], reading.pci, reading.engine
    return PortFacts(
        address=function.address,
        card=function.card,
        name=port.part.name,
        number=known[0],
        layout=function.layout.name,
        node=port.part.node,
        engine_node=engine.part.node if engine else "",
        interface=known[1],
        afu=port.afu,
        bitstream=card.engine.bitstream if card.engine else "",
        pci_id=f"{pci.vendor}:{pci.device}" if pci else "",
        numa=pci.numa if pci else (),
        places=(*above, *dict.fromkeys((function.card, function.address))),
    )
