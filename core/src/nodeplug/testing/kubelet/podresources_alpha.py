"""The pod resources service as older clients know it, at the same socket (R85)."""

from collections.abc import Iterator
from typing import Any

import grpc.aio

from nodeplug.kubelet.api import podresources_v1alpha1_pb2 as api
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.known_pods import KnownPods
from nodeplug.testing.kubelet.podresources import RateLimit, held
from nodeplug.testing.kubelet.pods import Container, Pod

Context = grpc.aio.ServicerContext[Any, Any]


class PodResourcesAlpha:
    """Answers List, within the limit that all clients share."""

    def __init__(self, tables: DeviceTables, pods: KnownPods, limit: RateLimit) -> None:
        self._tables = tables
        self._pods = pods
        self._limit = limit

    async def List(  # noqa: N802 - the method's name in the API
        self, _: api.ListPodResourcesRequest, context: Context
    ) -> api.ListPodResourcesResponse:
        """Return all known pods, those that have ended too; free the devices of the latter."""
        await self._limit.check(context)
        pods = list(self._pods.by_uid.values())
        self._pods.free(self._tables)
        return api.ListPodResourcesResponse(pod_resources=map(self._describe, pods))

    def _describe(self, pod: Pod) -> api.PodResources:
        # R86: sidecars are among v1's containers only.
        containers = [
            api.ContainerResources(name=each.name, devices=self._held(pod, each))
            for each in pod.containers
            if not each.init
        ]
        return api.PodResources(name=pod.name, namespace=pod.namespace, containers=containers)

    def _held(self, pod: Pod, container: Container) -> Iterator[api.ContainerDevices]:
        for entry in held(self._tables, pod, container):
            yield api.ContainerDevices(
                resource_name=entry.resource_name, device_ids=entry.device_ids
            )
