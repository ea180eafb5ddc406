"""Hardware that the configuration asks for, as devices."""

import logging
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from nodeplug.backend import Omissions
from nodeplug.host.identities import Identities
from nodeplug.host.nodes import Seen, see
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import numa_nodes
from nodeplug.values.device import Device, Health
from nodeplug.values.edits import NO_EDITS, ContainerEdits, DeviceNode, Mount
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.hardware import Uses
from nodeplug_custom.conditions import trouble
from nodeplug_custom.devices import mount_of
from nodeplug_custom.interest import Interest
from nodeplug_custom.settings import CustomSettings, ResourceSettings
from nodeplug_custom.templates import fill
from nodeplug_custom.units import Eye, Unit, UnitNode, units_of
from nodeplug_custom.uses import common_nodes, of_unit

_log = logging.getLogger("nodeplug.custom")

_UNSAFE = re.compile(r"[^A-Za-z0-9_.:/@+-]")
_TEXT_LIMIT = 64
# The kernel writes a domain with four digits or more: those of Intel's VMD begin at 10000.
_DOMAIN_BUS = r"[0-9a-f]{4,8}:[0-9a-f]{2}"
_PCI = re.compile(rf"pci{_DOMAIN_BUS}|{_DOMAIN_BUS}:[0-9a-f]{{2}}\.[0-7]")
# A host that makes and removes devices for ever must not fill the memory.
_GONE_LIMIT = 1000


class Sight(NamedTuple):
    """A unit that is there, with the values that templates may name, and what is at its paths."""

    resource: ResourceSettings
    unit: Unit
    values: Mapping[str, str]
    seen: Mapping[str, Seen]


class HardwareMemory:
    """What was seen before; outlives a reload as far as the resource stays as it was."""

    def __init__(self) -> None:
        self.seen: dict[bytes, dict[str, Device]] = {}


class Hardware:
    """Looks at the host for all resources.

    `sights` are those of the last look, by device; `left_out` is what it could not make sense of.
    """

    def __init__(
        self,
        settings: CustomSettings,
        memory: HardwareMemory,
        interest: Interest,
        identities: Identities,
    ) -> None:
        self.sights: dict[str, Sight] = {}
        self.left_out = Omissions()
        self._reported: set[tuple[str, str]] = set()
        self._resources = [r for r in settings.resources if r.hardware or r.sets or r.zipped]
        self._memory = memory
        self._identities = identities
        self._interest = interest
        keys = [_key(resource) for resource in self._resources]
        memory.seen = {key: memory.seen.get(key, {}) for key in keys}

    def look(self, root: HostRoot, taken: set[str], verdicts: Mapping[str, str]) -> list[Device]:
        """Return all devices, those that were there and are gone too. Blocks.

        `taken` are nodes that belong to something else; `verdicts` are those of probes.
        """
        eye = Eye(root, self._identities, self._resources)
        sights: dict[str, Sight] = {}
        devices: dict[str, Device] = {}
        for resource in self._resources:
            units = units_of(eye, resource, taken)
            common = common_nodes(units)
            for unit in units:
                if unit.id in sights:
                    self._report(unit.id, resource.name, sights[unit.id].resource.name)
                    continue
                with eye.left_out.alone(unit.id):
                    seen = {node.host_path: see(root.path(node.host_path)) for node in unit.nodes}
                    sight = Sight(resource, unit, values_of(unit), seen)
                    problem = trouble(root, unit, seen, self._interest.failed_pci)
                    reason = problem or verdicts.get(unit.id, "")
                    device = device_of(root, sight, reason, of_unit(unit, common, seen))
                    sights[unit.id], devices[unit.id] = sight, device
            self._remember(resource, devices)
        self.sights, self.left_out = sights, eye.left_out
        return [*devices.values(), *self._gone(devices)]

    def _report(self, device_id: str, resource: str, owner: str) -> None:
        """Log once that two resources want different parts of one device."""
        if (device_id, resource) not in self._reported:
            self._reported.add((device_id, resource))
            facts = {"device": device_id, "resource": resource, "served_as": owner}
            _log.warning("device is another resource's already", extra={"nodeplug": facts})

    def _remember(self, resource: ResourceSettings, devices: Mapping[str, Device]) -> None:
        seen = self._memory.seen[_key(resource)]
        seen.update((i, d) for i, d in devices.items() if d.resource == resource.name)
        for device_id in [*seen][:-_GONE_LIMIT]:
            del seen[device_id]

    def _gone(self, present: Mapping[str, Device]) -> list[Device]:
        return [
            Device(
                id=device_id,
                resource=device.resource,
                health=Health.UNHEALTHY,
                reason=self.left_out.get(device_id, "not present"),
                numa_nodes=device.numa_nodes,
                attributes=device.attributes,
            )
            for seen in self._memory.seen.values()
            for device_id, device in seen.items()
            if device_id not in present
        ]


def _key(resource: ResourceSettings) -> bytes:
    return msgspec.json.encode(resource)


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


def device_of(root: HostRoot, sight: Sight, reason: str, uses: Uses) -> Device:
    """Return the device that containers get."""
    resource, unit, values, _ = sight
    finding = unit.findings[0] if unit.findings else None
    folder = root.path(f"/sys{finding.devpath}") if finding else None
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
        numa_nodes=numa_nodes(folder) if folder else (),
        location=_location(finding.devpath) if finding else (),
        attributes=attributes | kind,
        edits=edits,
        hardware=uses,
    )


_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


def _location(devpath: str) -> tuple[str, ...]:
    return tuple(step for step in devpath.split("/") if _PCI.fullmatch(step))


def _edits(sight: Sight) -> ContainerEdits:
    resource, unit, values, seen = sight
    if any("," in node.host_path or not node.host_path.isprintable() for node in unit.nodes):
        return NO_EDITS
    nodes, mounts = _split(unit.nodes, values, seen)
    return ContainerEdits(
        nodes=nodes,
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
        if seen[part.host_path].kind in {"char", "block", None}:
            nodes.append(DeviceNode(part.host_path, place, part.permissions))
        else:
            mounts.append(Mount(part.host_path, place, read_only="w" not in part.permissions))
    return tuple(nodes), tuple(mounts)
