"""From shares to devices."""

from collections.abc import Collection
from typing import Final

from nodeplug.values.device import Attribute, Device, Health
from nodeplug.values.edits import ContainerEdits, DeviceNode
from nodeplug.values.hardware import EXCLUSIVE, PART, Uses
from nodeplug_intel_fpga.complaints import Check, Complaint
from nodeplug_intel_fpga.facts import PortFacts
from nodeplug_intel_fpga.models import model
from nodeplug_intel_fpga.shares import Share

# The checks that no setting switches off, and the AFU's in mode "af".
_ALWAYS: Final[frozenset[Check]] = frozenset({"absent", "silent", "reset", "interface"})
_USUAL: Final[frozenset[Check]] = frozenset({"engine", "port", "alarms", "node", "pci"})
# A list of more would hide what is first.
_REASONS: Final = 3


def device_of(share: Share, ignore: Collection[str]) -> Device:
    """Return the device for a share."""
    reason = "; ".join([*dict.fromkeys(c.text for c in complaints(share, ignore))][:_REASONS])
    facts = share.first
    return Device(
        id=facts.id,
        resource=share.resource,
        health=Health.UNHEALTHY if reason else Health.HEALTHY,
        reason=reason,
        parent=f"fpga-{facts.card}",
        numa_nodes=facts.numa,
        location=facts.places,
        attributes=_attributes(share, facts),
        edits=_edits(share),
        hardware=_hardware(share),
    )


def complaints(share: Share, ignore: Collection[str]) -> list[Complaint]:
    """Return what makes the device for a share Unhealthy."""
    checks = _ALWAYS | (_USUAL - frozenset(ignore)) | ({"afu"} if share.kind == "af" else set())
    if (share.engine_node or share.kind == "programmed") and "node" not in ignore:
        checks |= {"engineNode"}
    return [each for port in share.ports for each in port.complaints if each.check in checks]


def _attributes(share: Share, facts: PortFacts) -> dict[str, Attribute]:
    found: dict[str, Attribute] = {
        "driver": facts.layout,
        "address": facts.address,
        "card": facts.card,
        "model": model(facts.pci_id),
        "pciId": facts.pci_id,
        "port": facts.name,
        "ports": len(share.ports),
        "virtual": facts.virtual,
        "interfaceId": facts.interface,
    }
    known = {"afuId": facts.afu if len(share.ports) == 1 else "", "bitstreamId": facts.bitstream}
    return found | {name: text[:64] for name, text in known.items() if text}


def _edits(share: Share) -> ContainerEdits:
    paths = [port.facts.node for port in share.ports] + [share.engine_node]
    envs: dict[str, str] = {}
    for port in share.ports:
        envs |= _envs(port.facts, share.afu)
    if share.engine_node:
        number = share.engine_node.rpartition(".")[2]
        envs[f"FPGA_{share.first.layout.upper()}_FME_{number}_NODE"] = share.engine_node
    return ContainerEdits(nodes=tuple(DeviceNode(path) for path in paths if path), envs=envs)


def _hardware(share: Share) -> Uses:
    """Return the ports, whatever the kernel calls them, and the card, alone with its engine.

    Whoever has the engine can program every port of the card, those of virtual functions too.
    """
    facts = share.first
    ports = (f"fpga-port {each.facts.card}/{each.facts.number}" for each in share.ports)
    card = EXCLUSIVE if share.engine_node else PART
    return {
        f"pci {facts.address}": PART,
        f"pci {facts.card}": card,
        **dict.fromkeys(ports, EXCLUSIVE),
    }


def _envs(facts: PortFacts, afu: str) -> dict[str, str]:
    """Return variables whose names no other port of the node has."""
    number = facts.name.rpartition(".")[2]
    ids = {"INTERFACE": facts.interface, "AFU": afu}
    values = {"NODE": facts.node, "ADDRESS": facts.address, **ids}
    prefix = f"FPGA_{facts.layout.upper()}_PORT_{number}"
    return {f"{prefix}_{name}": value for name, value in values.items() if value}
