"""The kubelet's checkpoint file, as far as others see it (R3, R66)."""

import base64
import json
import os
from pathlib import Path

from nodeplug.testing.kubelet.devices import Allocation, DeviceTables

NAME = "kubelet_internal_checkpoint"


def write_checkpoint(directory: Path, tables: DeviceTables) -> None:
    """Write the file anew: temporary name, fsync, rename."""
    data = {
        "PodDeviceEntries": [_entry(allocation) for allocation in tables.allocations] or None,
        "RegisteredDevices": {r: sorted(ids) for r, ids in tables.healthy.items()},
    }
    temporary = directory / f".{NAME}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        json.dump({"Data": data, "Checksum": 0}, file)
        file.flush()
        os.fsync(fd)
    temporary.rename(directory / NAME)


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
