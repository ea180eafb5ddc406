"""The kubelet's checkpoint file, as far as others see it (R3, R66)."""

import base64
import json
import os
from contextlib import suppress
from pathlib import Path

from nodeplug.testing.kubelet.devices import Allocation, DeviceTables

NAME = "kubelet_internal_checkpoint"


def write_checkpoint(directory: Path, tables: DeviceTables) -> None:
    """Write the file anew: temporary name, fsync, rename. On a full disk the old one stays."""
    data = {
        "PodDeviceEntries": [_entry(allocation) for allocation in tables.allocations] or None,
        "RegisteredDevices": {r: sorted(ids) for r, ids in tables.healthy.items()},
    }
    with suppress(OSError):
        _replace(directory / NAME, json.dumps({"Data": data, "Checksum": 0}))


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    temporary.rename(path)


def _entry(allocation: Allocation) -> dict[str, object]:
    by_node: dict[str, list[str]] = {}
    for device_id in sorted(allocation.ids):
        for node in allocation.numa.get(device_id) or (-1,):
            by_node.setdefault(str(node), []).append(device_id)
    return {
        "PodUID": allocation.pod,
        "ContainerName": allocation.container,
        "ResourceName": allocation.resource,
        "DeviceIDs": by_node,
        "AllocResp": base64.b64encode(allocation.response.SerializeToString()).decode(),
    }
