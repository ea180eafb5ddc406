"""Which ports make one device, and of which resource."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from nodeplug_intel_fpga.complaints import left_out
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.ids import af_resource, region_resource
from nodeplug_intel_fpga.settings import FpgaSettings, Mode
from nodeplug_intel_fpga.sightings import Sighting

Kind = Mode | Literal["programmed"]


class Share(NamedTuple):
    """The ports of one device, by number, with what the device is handed out as.

    `afu` is what the container will find loaded, empty where nobody says. `engine_node` is handed
    out too, where it is not empty.
    """

    kind: Kind
    resource: str
    afu: str
    ports: tuple[Sighting, ...]
    engine_node: str = ""

    @property
    def first(self) -> PortFacts:
        """The facts of the port that the device is named after."""
        return self.ports[0].facts


class Shares(NamedTuple):
    """All devices to be, and the ports that are none: the reason by name."""

    shares: tuple[Share, ...]
    left_out: dict[str, str]


class _Place(NamedTuple):
    kind: Kind
    resource: str
    afu: str
    group: tuple[str, str]


def shares(ports: Iterable[Sighting], settings: FpgaSettings) -> Shares:
    """Share the ports out: each is in one device, or is left out with a reason."""
    groups: dict[_Place, list[Sighting]] = {}
    others: dict[str, str] = {}
    for port in ports:
        place = _place(port.facts, settings)
        if isinstance(place, str):
            others[port.facts.key] = left_out(place, port.complaints)
        else:
            groups.setdefault(place, []).append(port)
    reserved = {each[0].facts.card for at, each in groups.items() if at.kind == "programmed"}
    found = (_share(place, group, reserved) for place, group in groups.items())
    return Shares(tuple(found), others)


def _place(facts: PortFacts, settings: FpgaSettings) -> _Place | str:
    """Return where a port belongs, or why nowhere."""
    if not facts.interface:
        return "its interface is not known"
    entry = None if facts.virtual else settings.programmed(facts.card, facts.interface)
    if entry:
        return _Place("programmed", entry.name, entry.afu, (facts.id, ""))
    mode = settings.mode_of(facts.address, facts.card)
    if mode != "af":
        group = (facts.address, facts.interface)
        return _Place(mode, region_resource(facts.interface), "", group)
    if not facts.afu:
        return "its AFU is not known"
    name = af_resource(facts.interface, facts.afu)
    return _Place(mode, name, facts.afu, (facts.id, ""))


def _share(place: _Place, group: list[Sighting], reserved: set[str]) -> Share:
    ports = tuple(sorted(group, key=lambda each: each.facts.number))
    facts = ports[0].facts
    # Whoever has the engine can program every port of the card, those of other devices too.
    developing = place.kind == "regiondevel" and facts.card not in reserved
    engine_node = facts.engine_node if developing else ""
    return Share(place.kind, place.resource, place.afu, ports, engine_node)
