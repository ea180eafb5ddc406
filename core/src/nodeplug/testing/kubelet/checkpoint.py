"""The kubelet's checkpoint file: what of its tables outlives it (R3, R66)."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
from google.protobuf.message import DecodeError

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.kubelet.devices import Allocation, DeviceTables
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.topology import NO_NODE

NAME = "kubelet_internal_checkpoint"


class _Entry(msgspec.Struct):
    pod: str = msgspec.field(name="PodUID")
    container: str = msgspec.field(name="ContainerName")
    resource: str = msgspec.field(name="ResourceName")
    # Before 1.20 a list, without NUMA nodes.
    devices: dict[int, list[str]] | list[str] = msgspec.field(name="DeviceIDs")
    response: bytes | None = msgspec.field(name="AllocResp")


class _Data(msgspec.Struct):
    entries: list[_Entry] | None = msgspec.field(name="PodDeviceEntries")
    registered: dict[str, list[str]] | None = msgspec.field(name="RegisteredDevices")


class File(msgspec.Struct):
    """What the file holds, without the checksum."""

    data: _Data = msgspec.field(name="Data")


class Checkpoint:
    """The file in a kubelet's directory. What goes wrong with it is a note, "checkpoint"."""

    def __init__(self, directory: Path, journal: Journal) -> None:
        self._path = directory / NAME
        self._journal = journal

    def write(self, tables: DeviceTables) -> str:
        """Write the file anew; return what is wrong, "" if nothing is."""
        try:
            _replace(self._path, _text(tables))
        except OSError as error:
            return self._note(f'failed to write checkpoint file "{NAME}": {error}')
        return ""

    def read(self, now: float) -> DeviceTables:
        """Return the tables of a kubelet that starts: with nothing in them after a fault (R32)."""
        tables = DeviceTables()
        try:
            data = msgspec.json.decode(self._path.read_bytes(), type=File).data
        except FileNotFoundError:
            return tables
        except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._note(f"Continue after failing to read checkpoint file: {error}")
            return tables
        tables.restore(self._allocations(data), data.registered or (), now)
        return tables

    def _allocations(self, data: _Data) -> Iterator[Allocation]:
        # Of entries for the same container and resource the last one counts.
        last = {(e.pod, e.container, e.resource): e for e in data.entries or ()}
        for (pod, container, resource), entry in last.items():
            try:
                response = api.ContainerAllocateResponse.FromString(entry.response or b"")
            except DecodeError as error:
                # The others are not lost with it.
                self._note(f"Can't unmarshal allocResp of {resource} in pod {pod}: {error}")
                continue
            numa = _numa(entry.devices)
            yield Allocation(pod, container, resource, frozenset(numa), numa, response)

    def _note(self, problem: str) -> str:
        self._journal.note("checkpoint", "", problem)
        return problem


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(fd)
    temporary.rename(path)


def _text(tables: DeviceTables) -> str:
    data = {
        "PodDeviceEntries": [_entry(allocation) for allocation in tables.allocations] or None,
        "RegisteredDevices": {r: sorted(ids) for r, ids in tables.healthy.items()},
    }
    return json.dumps({"Data": data, "Checksum": 0})


def _entry(allocation: Allocation) -> dict[str, object]:
    by_node: dict[str, list[str]] = {}
    for device_id in sorted(allocation.ids):
        for node in allocation.numa.get(device_id) or (NO_NODE,):
            by_node.setdefault(str(node), []).append(device_id)
    return {
        "PodUID": allocation.pod,
        "ContainerName": allocation.container,
        "ResourceName": allocation.resource,
        "DeviceIDs": by_node,
        "AllocResp": base64.b64encode(allocation.response.SerializeToString()).decode(),
    }


def _numa(devices: dict[int, list[str]] | list[str]) -> dict[str, tuple[int, ...]]:
    by_node = devices if isinstance(devices, dict) else {NO_NODE: devices}
    numa: dict[str, tuple[int, ...]] = {}
    for node, ids in sorted(by_node.items()):
        for device_id in ids:
            nodes = () if node == NO_NODE else (node,)
            numa[device_id] = numa.get(device_id, ()) + nodes
    return numa
