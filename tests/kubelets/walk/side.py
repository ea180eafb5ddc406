"""One side of the walk: a kubelet with its directory and plugins, and what can be seen of it."""

import abc
import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
from asyncinotify import Inotify, Mask

from kubelets.real import RealKubelet
from kubelets.walk.plugin import Call, Calls, WalkPlugin
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import podresources_v1_pb2 as pods_api
from nodeplug.kubelet.api import podresources_v1_pb2_grpc as pods_grpc
from nodeplug.testing import Kubelet, Pod, Profile, Topology
from nodeplug.testing.kubelet.checkpoint import NAME, File
from nodeplug.testing.patience import patience

Entry = tuple[str, str, str]
AnyKubelet = Kubelet | RealKubelet


@dataclass(frozen=True, slots=True)
class Tables:
    """What the device manager knows, in a form that has no order of maps.

    `node` are capacity and allocatable by resource, `listed` health and NUMA nodes by resource
    and id, `in_use` ids by resource, `pods` ids by pod's uid, container and resource.
    """

    node: Mapping[str, tuple[int, int]]
    listed: Mapping[str, Mapping[str, tuple[str, tuple[int, ...] | None]]]
    in_use: Mapping[str, frozenset[str]]
    pods: Mapping[Entry, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of a side at a moment."""

    tables: Tables
    entries: Any
    registered: Any
    checkpoints_written: int
    calls: tuple[Call, ...]
    streams: Mapping[str, int]
    events: Mapping[tuple[str, str, str], int]


class Side(abc.ABC):
    """A kubelet of either kind with a directory of its own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="npw", dir="/tmp"))
        self.directory = self.folder / "dp"
        self.pod_resources = self.folder / "pr.sock"
        self.registry = self.folder / "registry"
        self.registry.mkdir()
        self.calls = Calls(self._written, self)
        self.plugins: dict[str, WalkPlugin] = {}
        self.pods: dict[str, Pod] = {}
        self._writes = 0
        self._inotify: Inotify | None = None

    @property
    @abc.abstractmethod
    def kubelet(self) -> AnyKubelet:
        """Return the kubelet of this side."""

    @abc.abstractmethod
    def tables(self) -> Tables:
        """Return what the kubelet knows now."""

    @abc.abstractmethod
    async def obeyed(self) -> None:
        """Wait until the kubelet has done what it was told: questions go another way."""

    async def open(self) -> None:
        self.directory.mkdir()
        self._inotify = Inotify(sync_timeout=0)
        self._inotify.add_watch(self.directory, Mask.MOVED_TO)
        await self.kubelet.start()

    async def close(self) -> None:
        """End all there is, even if something of it fails."""
        async with AsyncExitStack() as ends:
            ends.push_async_callback(asyncio.to_thread, shutil.rmtree, self.folder)
            if self._inotify is not None:
                ends.callback(self._inotify.close)
            ends.push_async_callback(self.kubelet.stop)
            for plugin in self.plugins.values():
                ends.push_async_callback(plugin.stop)

    @abc.abstractmethod
    def forget(self, pod: Pod) -> None:
        """Let a kubelet that is down not know of a pod when it starts."""

    def see(self) -> Sight:
        """Look at everything."""
        entries, registered = self._checkpoint()
        return Sight(
            tables=self.tables(),
            entries=entries,
            registered=registered,
            checkpoints_written=self._count_writes(),
            calls=tuple(self.calls.all),
            streams={name: plugin.streams for name, plugin in self.plugins.items()},
            events=self._events(),
        )

    def count(self, kind: str) -> int:
        """Return how many events of a kind there have been."""
        return len(self.kubelet.journal.of(kind))

    @property
    def lists(self) -> int:
        """How many lists the kubelet has dealt with."""
        return self.count("list")

    async def until_lists(self, number: int) -> None:
        """Wait until it has dealt with so many; raise TimeoutError."""
        await self.kubelet.until(lambda: self.lists >= number, 5)

    async def pod_resources_list(self) -> Any:
        """Return what pod resources answer to List, without the order of maps."""
        reply = await self._ask(lambda stub: stub.List(pods_api.ListPodResourcesRequest()))
        return sorted((p.namespace, p.name, _containers(p)) for p in reply.pod_resources)

    async def pod_resources_get(self, pod: Pod) -> Any:
        """Return what pod resources answer to Get: the pod, or the error."""
        request = pods_api.GetPodResourcesRequest(pod_name=pod.name, pod_namespace=pod.namespace)
        try:
            reply = await self._ask(lambda stub: stub.Get(request))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return _containers(reply.pod_resources)

    async def allocatable(self) -> Any:
        """Return what pod resources answer to GetAllocatableResources."""
        request = pods_api.AllocatableResourcesRequest()
        reply = await self._ask(lambda stub: stub.GetAllocatableResources(request))
        return _devices(reply.devices)

    async def _ask(self, call: Any) -> Any:
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 20)]
        target = f"unix:{self.pod_resources}"
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            # After a start the socket is there a moment later than kubelet.sock.
            async with patience(10):
                await channel.channel_ready()
            return await call(pods_grpc.PodResourcesListerStub(channel))

    def _written(self) -> Iterable[Entry]:
        file = self._file()
        entries = file.data.entries if file else None
        return [(e.pod, e.container, e.resource) for e in entries or ()]

    def _file(self) -> File | None:
        with suppress(FileNotFoundError, msgspec.DecodeError):
            return msgspec.json.decode((self.directory / NAME).read_bytes(), type=File)
        return None

    def _checkpoint(self) -> tuple[Any, Any]:
        file = self._file()
        if file is None:
            return None, None
        entries = {
            (e.pod, e.container, e.resource): (
                {node: sorted(ids) for node, ids in _by_node(e.devices).items()},
                str(api.ContainerAllocateResponse.FromString(e.response or b"")),
            )
            for e in file.data.entries or ()
        }
        return entries, {r: sorted(ids or ()) for r, ids in (file.data.registered or {}).items()}

    def _count_writes(self) -> int:
        assert self._inotify is not None
        while (event := self._inotify.sync_get()) is not None:
            self._writes += str(event.name) == NAME
        return self._writes

    def _events(self) -> Mapping[tuple[str, str, str], int]:
        # The end of a stream may be dealt with a moment later: that is the disconnect.
        kinds = {"list", "stream end", "disconnect", "register", "pod sync"}
        kinds |= {"allocate", "preferred"}
        return Counter(
            (e.kind, e.resource, "refused" if e.kind == "register" and e.detail else "")
            for e in self.kubelet.journal.events
            if e.kind in kinds
        )


class OurSide(Side):
    """With the embedded kubelet."""

    def __init__(self, profile: Profile, topology: Topology) -> None:
        super().__init__()
        self._kubelet = Kubelet(
            self.directory,
            pod_resources=self.pod_resources,
            plugin_registry=self.registry,
            profile=profile,
            topology=topology,
        )

    @property
    def kubelet(self) -> Kubelet:
        """Return the kubelet of this side."""
        return self._kubelet

    async def obeyed(self) -> None:
        """Wait until the kubelet has done what it was told, which it does at once."""

    def forget(self, pod: Pod) -> None:
        """Let a kubelet that is down not know of a pod when it starts."""
        self.kubelet.forget(pod)

    def tables(self) -> Tables:
        """Return what the kubelet knows now."""
        tables = self.kubelet._tables
        names = [*tables.resources, *self.kubelet._node.now]
        figures = {name: self.kubelet.capacity(name) for name in names}
        return Tables(
            node={r: (c.capacity, c.allocatable) for r, c in figures.items() if c is not None},
            listed={
                resource: {
                    i: (d.health, _nodes(d) if d.HasField("topology") else None)
                    for i, d in devices.items()
                }
                for resource, devices in tables.devices.items()
            },
            in_use={resource: frozenset(ids) for resource, ids in tables.in_use.items()},
            pods={(a.pod, a.container, a.resource): a.ids for a in tables.allocations},
        )


class RealSide(Side):
    """With the real kubelet of a version; its next process knows of no pod anyway."""

    def __init__(self, version: str, topology: Topology) -> None:
        super().__init__()
        self._kubelet = RealKubelet(
            self.directory,
            pod_resources=self.pod_resources,
            plugin_registry=self.registry,
            version=version,
            topology=topology,
        )

    @property
    def kubelet(self) -> RealKubelet:
        """Return the kubelet of this side."""
        return self._kubelet

    async def obeyed(self) -> None:
        """Wait until the kubelet has done what it was told: questions go another way."""
        await self.kubelet.look()

    def forget(self, pod: Pod) -> None:
        """Let a kubelet that is down not know of a pod when it starts."""

    def tables(self) -> Tables:
        """Return what the kubelet knows now."""
        state = self.kubelet._state
        return Tables(
            node=state.node,
            listed={
                resource: {
                    i: (d.health, d.nodes if d.topology else None) for i, d in devices.items()
                }
                for resource, devices in state.listed.items()
            },
            in_use={resource: frozenset(ids) for resource, ids in state.in_use.items()},
            pods={
                (uid, container, resource): frozenset(ids)
                for uid, containers in state.pods.items()
                for container, resources in containers.items()
                for resource, ids in resources.items()
            },
        )


def _nodes(device: api.Device) -> tuple[int, ...]:
    return tuple(node.ID for node in device.topology.nodes)


def _by_node(devices: dict[int, list[str]] | list[str]) -> dict[int, list[str]]:
    return devices if isinstance(devices, dict) else {-1: devices}


def _containers(pod: Any) -> Any:
    return [(c.name, _devices(c.devices)) for c in pod.containers]


def _devices(devices: Iterable[Any]) -> Any:
    return sorted(
        (d.resource_name, tuple(d.device_ids), tuple(n.ID for n in d.topology.nodes))
        for d in devices
    )
