"""A resource's devices as a CDI specification."""

import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits

# The oldest version with hostPath; older container runtimes refuse files of newer ones.
VERSION = "0.5.0"
Entry = dict[str, Any]
# YAML 1.1: what is not printable there, or a line break.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def kind_of(resource: str) -> str:
    """Return the CDI kind, vendor/class, of a public resource.

    The vendor is apart from the resource's own domain, whose kinds are the vendor's to define.
    """
    domain, _, name = resource.partition("/")
    legal = re.sub(r"[^A-Za-z0-9_-]", "-", name)
    # One letter alone ends some of those who read it.
    if legal != name or not legal[0].isalpha() or len(legal) == 1:
        legal = f"r-{legal}-{zlib.crc32(name.encode()):08x}"
    return f"nodeplug.{domain}/{legal}"


def qualified_name(resource: str, device: Device) -> str:
    """Return the name by which a container gets a device."""
    return f"{kind_of(resource)}={device.id}"


def entry_of(device: Device, common: ContainerEdits = NO_EDITS) -> Entry | None:
    """Return a device as an entry of a specification; None where it brings nothing.

    Runtimes refuse entries without edits: one that has none of its own has the `common` ones.
    """
    edits = _edits(device.edits) or _edits(common)
    return {"name": device.id, "containerEdits": edits} if edits else None


def specification(resource: str, entries: Iterable[Entry], common: ContainerEdits) -> Entry:
    """Return the whole specification of a resource."""
    spec: Entry = {
        "cdiVersion": VERSION,
        "kind": kind_of(resource),
        "devices": sorted(entries, key=lambda entry: str(entry["name"])),
    }
    if edits := _edits(common):
        spec["containerEdits"] = edits
    return spec


def written(spec: Entry) -> bytes:
    """Return a specification as text.

    Runtimes read it as YAML 1.1, which has no escapes for characters beyond U+FFFF
    (findings/kubernetes-yaml-1.6-refuses-valid-json.sh).
    """
    text = json.dumps(spec, indent=1, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _edits(edits: ContainerEdits) -> Entry:
    # The environment is the kubelet's to set, as are annotations: it depends on the set of devices,
    # and a runtime would put a device's in the place of that.
    parts = {
        "deviceNodes": [
            {"path": n.container_path, "hostPath": n.host_path, "permissions": n.permissions}
            for n in edits.nodes
        ],
        "mounts": [
            {
                "hostPath": m.host_path,
                "containerPath": m.container_path,
                "options": ["ro" if m.read_only else "rw", "rbind", "rprivate"],
            }
            for m in edits.mounts
        ],
        "hooks": [
            _without_empty(
                {"hookName": h.name, "path": h.path, "args": list(h.args), "env": list(h.envs)}
            )
            for h in edits.hooks
        ],
    }
    return _without_empty(parts)


def _without_empty(parts: Mapping[str, Any]) -> Entry:
    return {key: value for key, value in parts.items() if value}
