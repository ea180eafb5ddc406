"""What the kubelet itself says of devices in use: pod resources and its checkpoint."""

import time
from collections.abc import Collection
from pathlib import Path

import msgspec

from nodeplug.holdings import Key, Listing
from nodeplug.kubelet.api import podresources_v1_pb2 as api
from nodeplug.kubelet.pod_resources import assignments, list_pods

CHECKPOINT = "kubelet_internal_checkpoint"


class _Entry(msgspec.Struct):
    resource: str = msgspec.field(name="ResourceName")
    devices: dict[str, list[str]] | list[str] = msgspec.field(name="DeviceIDs")


class _Data(msgspec.Struct):
    entries: list[_Entry] | None = msgspec.field(name="PodDeviceEntries")


class _Checkpoint(msgspec.Struct):
    data: _Data = msgspec.field(name="Data")


async def ask_kubelet(pod_resources: Path, plugin_dir: Path) -> Listing | None:
    """Return what is in use now, or None while the kubelet does not answer."""
    started = time.monotonic()
    reply = await list_pods(pod_resources)
    if reply is None:
        return None
    return Listing(started, _held(reply), read_checkpoint(plugin_dir / CHECKPOINT))


def read_checkpoint(path: Path) -> Collection[Key] | None:
    """Return all keys in the kubelet's checkpoint (R66), or None if it cannot be read."""
    try:
        data = msgspec.json.decode(path.read_bytes(), type=_Checkpoint).data
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found: set[Key] = set()
    for entry in data.entries or ():
        groups = entry.devices.values() if isinstance(entry.devices, dict) else [entry.devices]
        found.update((entry.resource, device_id) for ids in groups for device_id in ids)
    return found


def _held(reply: api.ListPodResourcesResponse) -> dict[Key, tuple[int, ...]]:
    held: dict[Key, tuple[int, ...]] = {}
    for each in assignments(reply):
        key = each.resource, each.device
        held[key] = tuple(sorted({*held.get(key, ()), *each.numa_nodes}))
    return held
