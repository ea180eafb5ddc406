"""What the kubelet itself says of devices in use: pod resources and its checkpoint."""

import base64
import os
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec
from google.protobuf.message import DecodeError

from nodeplug.holdings import Key, Listing, Record
from nodeplug.host.disk import Disk
from nodeplug.host.files import stamp
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import podresources_v1_pb2 as podresources
from nodeplug.kubelet.pod_resources import assignments, list_pods

CHECKPOINT = "kubelet_internal_checkpoint"
# R35: the kubelet numbers NUMA nodes so; a device without topology is under -1 (R66).
_NUMA_NODES = range(64)


class _Entry(msgspec.Struct):
    resource: str = msgspec.field(name="ResourceName")
    devices: dict[int, list[str]] | list[str] = msgspec.field(name="DeviceIDs")
    pod: str = msgspec.field(name="PodUID", default="")
    answer: str = msgspec.field(name="AllocResp", default="")


class _Data(msgspec.Struct):
    entries: list[_Entry] | None = msgspec.field(name="PodDeviceEntries")


class _Checkpoint(msgspec.Struct):
    data: _Data = msgspec.field(name="Data")


# Made before threads need it: two that make it at once crash msgspec.
_DECODER = msgspec.json.Decoder(_Checkpoint)


class Checkpoint(NamedTuple):
    """What the kubelet has written down (R66) and when: `written` is another for each writing.

    `records` is None where it cannot be read.
    """

    records: Mapping[Key, Record] | None
    written: object = None


class CheckpointFile:
    """The kubelet's checkpoint, which cannot be read while its disk hangs."""

    def __init__(self, plugin_dir: Path, disk: Disk) -> None:
        self._path = plugin_dir / CHECKPOINT
        self._disk = disk
        self._written: object = None

    async def read(self) -> Checkpoint:
        """Return what is written down."""
        return await self._disk.ask(Checkpoint(None), read_checkpoint, self._path)

    async def written(self) -> object:
        """Return what is another after each writing; what it was while the disk hangs."""
        self._written = await self._disk.ask(self._written, stamp, self._path)
        return self._written


async def ask_kubelet(pod_resources: Path, checkpoint: CheckpointFile) -> Listing | None:
    """Return what is in use now, or None while the kubelet does not answer."""
    started = time.monotonic()
    reply = await list_pods(pod_resources)
    if reply is None:
        return None
    return Listing(started, _held(reply), *await checkpoint.read())


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what the kubelet has written down of devices in use."""
    try:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            data = _DECODER.decode(file.read()).data
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Checkpoint(None)
    found: dict[Key, Record] = {}
    for entry in data.entries or ():
        given = list(_given(entry))
        keys = frozenset(key for key, _ in given)
        paths, cdi = _answered(entry.answer)
        answer = Record((), paths, frozenset({entry.pod} - {""}), keys, cdi)
        for key, node in given:
            found[key] = _joined(found.get(key, Record()), node, answer)
    return Checkpoint(found, (stat.st_ino, stat.st_mtime_ns, stat.st_size))


def _joined(record: Record, node: int, answer: Record) -> Record:
    numa = {*record.numa, node}.intersection(_NUMA_NODES)
    paths = record.paths if answer.paths is None else answer.paths | (record.paths or frozenset())
    together, cdi = record.together | answer.together, record.cdi | answer.cdi
    return Record(tuple(sorted(numa)), paths, record.pods | answer.pods, together, cdi)


@lru_cache(maxsize=256)
def _answered(answer: str) -> tuple[frozenset[str] | None, frozenset[str]]:
    """Return the host paths of device nodes in a plugin's answer, None without, and CDI names."""
    try:
        response = api.ContainerAllocateResponse.FromString(base64.b64decode(answer))
    except (ValueError, DecodeError):
        return None, frozenset()
    cdi = frozenset(device.name for device in response.cdi_devices)
    return frozenset(device.host_path for device in response.devices) or None, cdi


def _given(entry: _Entry) -> Iterator[tuple[Key, int]]:
    groups = entry.devices if isinstance(entry.devices, dict) else {-1: entry.devices}
    for node, ids in groups.items():
        for device_id in ids:
            yield (entry.resource, device_id), node


def _held(reply: podresources.ListPodResourcesResponse) -> dict[Key, tuple[int, ...]]:
    held: dict[Key, tuple[int, ...]] = {}
    for each in assignments(reply):
        key = each.resource, each.device
        held[key] = tuple(sorted({*held.get(key, ()), *each.numa_nodes}))
    return held
