"""From hardware that was found to a device."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nodeplug.host.nodes import Seen
from nodeplug.values.device import Device, Health
from nodeplug.values.edits import NO_EDITS, ContainerEdits, DeviceNode, Mount
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.hardware import Uses
from nodeplug_custom.devices import mount_of, rights_of, shared_nodes
from nodeplug_custom.settings import ResourceSettings
from nodeplug_custom.templates import fill
from nodeplug_custom.unit import Unit, UnitNode

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.:/@+-]")
_TEXT_LIMIT = 64
# The kernel writes a domain with four digits or more: those of Intel's VMD begin at 10000.
_DOMAIN_BUS = r"[0-9a-f]{4,8}:[0-9a-f]{2}"
_PCI = re.compile(rf"pci{_DOMAIN_BUS}|{_DOMAIN_BUS}:[0-9a-f]{{2}}\.[0-7]")


class Sight(NamedTuple):
    """A unit that is there, with the values that templates may name, and what is at its paths."""

    resource: ResourceSettings
    unit: Unit
    values: Mapping[str, str]
    seen: Mapping[str, Seen]


def values_of(unit: Unit) -> dict[str, str]:
    """Return what templates may name of a unit; a stranger's text has no character that harms."""
    parent = unit.findings[0].parent if unit.findings else None
    first = unit.nodes[0].host_path if unit.nodes else ""
    values = {
        "id": unit.id,
        "name": unit.findings[0].devpath.rpartition("/")[2] if unit.findings else "",
        "address": parent.address if parent else "",
        "bus": parent.bus if parent else "",
        "device": parent.device if parent else "",
        "port": parent.port if parent else "",
        "serial": parent.serial if parent else "",
        "vendor": parent.vendor if parent else "",
        "product": parent.product if parent else "",
        "hostPath": first,
        "realPath": first,
        "path": first,
    }
    safe = {name: _UNSAFE.sub("_", text)[:_TEXT_LIMIT] for name, text in values.items()}
    return safe | {"nodes": ",".join(node.host_path for node in unit.nodes)}


def device_of(sight: Sight, reason: str, uses: Uses) -> Device:
    """Return the device that containers get."""
    resource, unit, values, _ = sight
    finding = unit.findings[0] if unit.findings else None
    shown = ("address", "port", "serial", "vendor", "product", "bus", "device")
    attributes = {name: values[name] for name in shown if values[name]}
    kind = {"kind": finding.parent.kind} if finding else {}
    try:
        edits = NO_EDITS if reason and not unit.nodes else _edits(sight)
    except InvalidValueError:
        edits, reason = NO_EDITS, reason or "its container path is not usable"
    return Device(
        id=unit.id,
        resource=resource.name,
        health=Health.UNHEALTHY if reason else Health.HEALTHY,
        reason=_UNPRINTABLE.sub("?", reason),
        numa_nodes=finding.parent.numa if finding else (),
        location=_location(finding.devpath) if finding else (),
        attributes={**attributes, **kind, **unit.labels},
        edits=edits,
        hardware=uses,
    )


def _location(devpath: str) -> tuple[str, ...]:
    return tuple(step for step in devpath.split("/") if _PCI.fullmatch(step))


def _edits(sight: Sight) -> ContainerEdits:
    resource, unit, values, seen = sight
    if any("," in node.host_path or not node.host_path.isprintable() for node in unit.nodes):
        return NO_EDITS
    nodes, mounts = _split(unit.nodes, values, seen)
    return ContainerEdits(
        nodes=(*nodes, *shared_nodes(resource)),
        mounts=(*mounts, *(mount_of(each, values) for each in resource.mounts)),
        envs={name: fill(text, values) for name, text in resource.env.items()},
        annotations={name: fill(text, values) for name, text in resource.annotations.items()},
    )


def _split(
    parts: Sequence[UnitNode], values: Mapping[str, str], seen: Mapping[str, Seen]
) -> tuple[tuple[DeviceNode, ...], tuple[Mount, ...]]:
    nodes, mounts = [], []
    for part in dict.fromkeys(parts):  # functions of one VFIO group have nodes in common
        place = fill(part.container_path, {**values, "node": part.host_path.rpartition("/")[2]})
        kind = seen[part.host_path].kind
        rights = rights_of(part.permissions, kind)
        if kind in {"char", "block", None} and not part.mount:
            nodes.append(DeviceNode(part.host_path, place, rights))
        else:
            mounts.append(Mount(part.host_path, place, read_only="w" not in rights))
    return tuple(nodes), tuple(mounts)
