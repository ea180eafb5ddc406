"""The privilege table as the library chart reads it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from nodeplug.backend import BackendSpec, HostMount, Privilege
from nodeplug.config.settings import AgentSettings
from nodeplug.operations.privileges import CORE

_HEAD = "{{/* Made by `make charts` from what core and backends say of themselves. */}}"


def template(specs: Mapping[str, BackendSpec]) -> str:
    """Return the library's templates: the table, and the port of each backend."""
    tables = {"core": CORE} | {name: spec.privileges for name, spec in specs.items()}
    keys = dict(_keys(msgspec.to_builtins(AgentSettings()), ""))
    table = {name: [_line(line, keys) for line in lines] for name, lines in tables.items()}
    ports = {name: spec.metrics_port for name, spec in specs.items()}
    parts = {"privileges": table, "ports": ports}
    defined = [
        f'{{{{- define "nodeplug.{name}" -}}}}\n{json.dumps(part, indent=1)}\n{{{{- end -}}}}'
        for name, part in parts.items()
    ]
    return "\n\n".join([_HEAD, *defined]) + "\n"


def _line(line: Privilege, keys: Mapping[str, str]) -> dict[str, Any]:
    return {
        "feature": line.feature,
        "setting": line.setting,
        "mounts": [_mount(mount, keys) for mount in line.mounts],
        "capabilities": list(line.capabilities),
        "privileged": line.privileged,
        "hostNetwork": line.host_network,
        "rights": [msgspec.to_builtins(right) for right in line.rights],
    }


def _mount(mount: HostMount, keys: Mapping[str, str]) -> dict[str, Any]:
    """Return a mount, with the key of the configuration that says where it is, if there is one."""
    found = {"path": mount.path, "readOnly": mount.read_only, "propagation": mount.propagation}
    for value, key in keys.items():
        if value == mount.path:
            return found | {"key": key}
        if value.rpartition("/")[0] == mount.path and value.endswith(".sock"):
            return found | {"key": key, "parent": True}
    return found


def _keys(settings: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    """Yield each path that is a default of the configuration, with its key."""
    for name, value in settings.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict):
            yield from _keys(value, f"{key}.")
        elif isinstance(value, str) and value.startswith("/") and value != "/":
            yield value, key
