"""The pod resources service: which container has which devices."""

from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import grpc.aio

from nodeplug.kubelet.api import podresources_v1_pb2 as api
from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.known_pods import KnownPods
from nodeplug.testing.kubelet.pods import Container, Pod
from nodeplug.testing.kubelet.topology import NO_NODE, numa_of

# R85: for all clients together.
_CALLS_PER_SECOND = 100.0
_BURST = 10.0
Context = grpc.aio.ServicerContext[Any, Any]


class RateLimit:
    """A bucket of calls that fills with time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._filled = clock.now()
        self._level = _BURST

    def take(self) -> bool:
        """Whether one more call is allowed now."""
        now = self._clock.now()
        self._level = min(_BURST, self._level + (now - self._filled) * _CALLS_PER_SECOND)
        self._filled = now
        if self._level < 1:
            return False
        self._level -= 1
        return True

    async def check(self, context: Context) -> None:
        """End the call if it is one too many."""
        if not self.take():
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit")


class PodResources:
    """Answers List, Get and GetAllocatableResources."""

    def __init__(
        self, tables: DeviceTables, pods: KnownPods, limit: RateLimit, profile: Profile
    ) -> None:
        self._tables = tables
        self._pods = pods
        self._limit = limit
        self._active_only = profile.since(Profile.V1_35)

    async def List(  # noqa: N802 - the method's name in the API
        self, _: api.ListPodResourcesRequest, context: Context
    ) -> api.ListPodResourcesResponse:
        """Return all active pods; free the devices of those that are gone (R86)."""
        await self._limit.check(context)
        self._pods.free(self._tables)
        return api.ListPodResourcesResponse(pod_resources=map(self._describe, self._pods.active))

    async def Get(  # noqa: N802
        self, request: api.GetPodResourcesRequest, context: Context
    ) -> api.GetPodResourcesResponse:
        """Return one active pod, up to 1.34 also one that has ended (R87)."""
        await self._limit.check(context)
        for pod in self._pods.active if self._active_only else self._pods.by_uid.values():
            if (pod.name, pod.namespace) == (request.pod_name, request.pod_namespace):
                return api.GetPodResourcesResponse(pod_resources=self._describe(pod))
        await context.abort(grpc.StatusCode.UNKNOWN, f"pod {request.pod_name} not found")
        raise AssertionError

    async def GetAllocatableResources(  # noqa: N802
        self, _: api.AllocatableResourcesRequest, context: Context
    ) -> api.AllocatableResourcesResponse:
        """Return all healthy devices, allocated ones included (R88)."""
        await self._limit.check(context)
        devices = [
            entry
            for resource, healthy in self._tables.healthy.items()
            for device_id in sorted(healthy)
            for entry in self._entries(resource, device_id)
        ]
        return api.AllocatableResourcesResponse(devices=devices)

    def _describe(self, pod: Pod) -> api.PodResources:
        shown = [c for c in pod.in_order if c.sidecar or not c.init]
        containers = [
            api.ContainerResources(name=c.name, devices=held(self._tables, pod, c)) for c in shown
        ]
        return api.PodResources(name=pod.name, namespace=pod.namespace, containers=containers)

    def _entries(self, resource: str, device_id: str) -> Iterator[api.ContainerDevices]:
        device = self._tables.devices[resource][device_id]
        if device.HasField("topology") and not device.topology.nodes:
            return  # R35: a topology without nodes hides the device.
        yield from _per_node(resource, device_id, numa_of(device))


def held(tables: DeviceTables, pod: Pod, container: Container) -> Iterator[api.ContainerDevices]:
    """Yield what a container has."""
    for allocation in tables.of_container(pod.uid, container.name):
        for device_id in sorted(allocation.ids):
            numa = [node for node in allocation.numa.get(device_id, ()) if node != NO_NODE]
            yield from _per_node(allocation.resource, device_id, sorted(numa))


def _per_node(
    resource: str, device_id: str, nodes: Sequence[int]
) -> Iterator[api.ContainerDevices]:
    # R87: one entry per device and NUMA node, a node listed twice has two.
    if not nodes:
        yield api.ContainerDevices(resource_name=resource, device_ids=[device_id])
    for node in nodes:
        topology = api.TopologyInfo(nodes=[api.NUMANode(ID=node)])
        yield api.ContainerDevices(
            resource_name=resource, device_ids=[device_id], topology=topology
        )
