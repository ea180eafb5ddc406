"""What the kubelet itself says of devices in use: pod resources and its checkpoint."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from nodeplug.holdings import Key, Listing
from nodeplug.kubelet.api import podresources_v1_pb2 as api
from nodeplug.kubelet.pod_resources import assignments, list_pods

CHECKPOINT = "kubelet_internal_checkpoint"
# R35: the kubelet numbers NUMA nodes so; a device without topology is under -1 (R66).
_NUMA_NODES = range(64)


class _Entry(msgspec.Struct):
    resource: str = msgspec.field(name="ResourceName")
    devices: dict[int, list[str]] | list[str] = msgspec.field(name="DeviceIDs")


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


def read_checkpoint(path: Path) -> Mapping[Key, tuple[int, ...]] | None:
    """Return all keys in the kubelet's checkpoint (R66) with NUMA nodes; None if unreadable."""
    try:
        data = msgspec.json.decode(path.read_bytes(), type=_Checkpoint).data
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found: dict[Key, tuple[int, ...]] = {}
    for entry in data.entries or ():
        for key, node in _given(entry):
            nodes = {*found.get(key, ()), node}.intersection(_NUMA_NODES)
            found[key] = tuple(sorted(nodes))
    return found


def _given(entry: _Entry) -> Iterator[tuple[Key, int]]:
    groups = entry.devices if isinstance(entry.devices, dict) else {-1: entry.devices}
    for node, ids in groups.items():
        for device_id in ids:
            yield (entry.resource, device_id), node


def _held(reply: api.ListPodResourcesResponse) -> dict[Key, tuple[int, ...]]:
    held: dict[Key, tuple[int, ...]] = {}
    for each in assignments(reply):
        key = each.resource, each.device
        held[key] = tuple(sorted({*held.get(key, ()), *each.numa_nodes}))
    return held
