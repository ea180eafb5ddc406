"""From a member of a pool to a device."""

from nodeplug.values.device import Attribute, Device, Health, as_attribute
from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.hardware import hardware_of
from nodeplug_sriov_net.nodes import SharedNodes, nodes_of
from nodeplug_sriov_net.pools import Member


def device_of(member: Member, shared: SharedNodes, reason: str) -> Device:
    """Return the device for core; a reason makes it Unhealthy."""
    found = member.device
    nodes = nodes_of(member, shared)
    return Device(
        id=found.id,
        resource=member.pool.name,
        health=Health.UNHEALTHY if reason else Health.HEALTHY,
        reason=reason,
        parent=found.owner.address if found.owner else "",
        numa_nodes=() if member.pool.exclude_topology else found.function.pci.numa,
        location=location_of(found),
        attributes=_attributes(found) | {"selector": member.pool.selectors.index(member.selector)},
        edits=ContainerEdits(nodes=nodes) if nodes else NO_EDITS,
        hardware=hardware_of(found, nodes),
    )


def location_of(found: Candidate) -> tuple[str, ...]:
    """Return the PCI root and the bridges above the physical function."""
    place = (found.owner or found.function).pci.devpath
    return tuple(place.split("/")[2:-1])


def _attributes(found: Candidate) -> dict[str, Attribute]:
    pci = found.function.pci
    texts = {
        "vendor": pci.vendor,
        "device": pci.device,
        "driver": pci.driver or "",
        "pciAddress": pci.address,
        "pfAddress": found.owner.address if found.owner else "",
        "pfName": found.owner_link.name if found.owner_link else "",
        "netdev": found.links[0].name if found.links else "",
        "mac": found.links[0].address if found.links else "",
        "linkType": found.link.kind if found.link else "",
        "rdmaDevice": ",".join(each.name for each in found.part.rdma),
        "representor": found.representor,
        "acpiIndex": found.function.acpi_index,
        "vdpaDevice": found.part.vdpa[0].name if found.part.vdpa else "",
        "vdpaDriver": found.vdpa_driver,
    }
    facts: dict[str, Attribute] = {name: as_attribute(text) for name, text in texts.items() if text}
    facts["rdma"] = found.part.capable
    if found.index is not None:
        facts["sfNumber" if found.sub else "vfIndex"] = found.index
    if found.speed:
        facts["speedMbps"] = found.speed
    if found.uplink:
        facts["uplink"] = True
    return facts
