"""From what was seen to a device."""

import re
from collections.abc import Iterator, Mapping

from nodeplug.host.nodes import NodeType
from nodeplug.values.device import Device, Health, as_attribute
from nodeplug.values.edits import EMPTY, NO_EDITS, ContainerEdits, DeviceNode, Mount
from nodeplug.values.hardware import NO_USES
from nodeplug_custom.selection import Entry, Sighting, leads_out
from nodeplug_custom.settings import MountSettings, ResourceSettings
from nodeplug_custom.templates import fill
from nodeplug_custom.uses import of_path

# What a resource's name may have behind its domain, less what may stand before the device's.
_NAME_LIMIT = 40


def device_of(entry: Entry, seen: Sighting) -> Device:
    """Return the device that an entry makes of a sighting.

    A container's edits begin with the device itself, node or mount.
    """
    reason = _reason(entry, seen)
    attributes = {"hostPath": _shown(seen.path), "realPath": _shown(seen.real)}
    return Device(
        id=seen.id,
        resource=resource_of(entry, seen.path),
        health=Health.UNHEALTHY if reason else Health.HEALTHY,
        reason=reason,
        numa_nodes=seen.numa_nodes,
        attributes=attributes | ({"type": seen.kind} if seen.kind else {}) | entry.device.labels,
        edits=_edits(entry, seen) if _is_fit(seen) and not seen.outside else NO_EDITS,
        hardware=of_path(entry.resource, entry.device, seen) if _is_fit(seen) else NO_USES,
    )


def resource_of(entry: Entry, path: str) -> str:
    """Return the native name of the resource that a path belongs to.

    What smarter-device-manager would keep of the path's characters is kept, for pods name them.
    """
    below = re.sub(r"[^A-Za-z0-9_-]", "_", path.removeprefix("/dev/")).strip("_-")
    return entry.resource.name.replace("{name}", below[:_NAME_LIMIT].rstrip("_-") or "x")


def _reason(entry: Entry, seen: Sighting) -> str:
    wanted = entry.device.type
    if not _is_fit(seen):
        return "its path has a comma or an unprintable character"
    if seen.outside:
        return leads_out(_shown(seen.outside))
    if seen.kind is None:
        return "not present"
    if seen.kind == wanted or (wanted in {"node", "nodes"} and seen.kind in {"char", "block"}):
        return ""
    if wanted == "nodes":
        return why_no_nodes(seen)
    return f"is of type {seen.kind}, not {wanted}"


def why_no_nodes(seen: Sighting) -> str:
    """Return why what is no device node does not stand for some, or nothing."""
    if seen.kind == "directory":
        return "" if seen.inside else "no device node is in it"
    return f"is of type {seen.kind}, neither a device node nor a directory of them"


def _is_fit(seen: Sighting) -> bool:
    # A device's name is text of strangers: it must not forge a line or an element of a list.
    inner = (each.path for each in seen.inside)
    return all(path.isprintable() and "," not in path for path in (seen.path, seen.real, *inner))


def _shown(path: str) -> str:
    text = path if path.isprintable() else ascii(path)[1:-1]
    shown = as_attribute(text, end=True)
    return shown if shown == text else f"…{shown[3:]}"


def _edits(entry: Entry, seen: Sighting) -> ContainerEdits:
    values = {
        "id": seen.id,
        "name": seen.path.rpartition("/")[2],
        "hostPath": seen.path,
        "realPath": seen.real,
    }
    values["path"] = fill(entry.device.container_template, values)
    resource = entry.resource
    rights = rights_of(entry.device.permissions, seen.kind)
    mounts = tuple(mount_of(each, values) for each in resource.mounts)
    nodes: tuple[DeviceNode, ...] = ()
    if entry.device.is_node:
        rights = rights_of(entry.device.permissions, "char")
        ordered = "".join(letter for letter in "rwm" if letter in rights)
        nodes = tuple(
            DeviceNode(path, values["path"] + path[len(seen.real) :], ordered)
            for path in [each.path for each in seen.inside] or [seen.real]
        )
    else:
        mounts = (Mount(seen.real, values["path"], read_only=rights == "r"), *mounts)
    return ContainerEdits(
        nodes=(*nodes, *shared_nodes(resource)),
        mounts=mounts,
        envs=_filled(resource.env, values),
        annotations=_filled(resource.annotations, values),
    )


def _filled(templates: Mapping[str, str], values: Mapping[str, str]) -> Mapping[str, str]:
    return {name: fill(text, values) for name, text in templates.items()} or EMPTY


def shared_nodes(resource: ResourceSettings) -> Iterator[DeviceNode]:
    """Yield the nodes that containers get with each device of a resource."""
    for each in resource.nodes:
        yield DeviceNode(each.path, each.container_path or each.path, each.permissions)


def rights_of(permissions: str | None, kind: NodeType | None) -> str:
    """Return what a container may do with what is of a kind."""
    return permissions or ("r" if kind in {"file", "directory"} else "rw")


def mount_of(settings: MountSettings, values: Mapping[str, str]) -> Mount:
    """Return a mount with its templates filled."""
    host_path = fill(settings.host_path, values)
    return Mount(host_path, fill(settings.container_path, values) or host_path, settings.read_only)
