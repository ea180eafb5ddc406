"""Asking the kubelet which container has which device."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc.aio

from nodeplug.kubelet.api import podresources_v1_pb2 as api
from nodeplug.kubelet.api import podresources_v1_pb2_grpc as api_grpc

# R88: the kubelet caps no answer. Channels share connections and their back-off unless they are
# told not to: to a kubelet that is no more.
OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
)
_LIST_SECONDS = 5.0


class Assignment(NamedTuple):
    """A device, by the id that the kubelet knows, in a container."""

    namespace: str
    pod: str
    container: str
    resource: str
    device: str
    numa_nodes: tuple[int, ...]


async def list_pods(socket: Path) -> api.ListPodResourcesResponse | None:
    """Return the kubelet's answer, or None while it gives none."""
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=OPTIONS) as channel:
        stub = api_grpc.PodResourcesListerStub(channel)
        try:
            return await stub.List(api.ListPodResourcesRequest(), timeout=_LIST_SECONDS)
        except grpc.aio.AioRpcError:
            return None


def assignments(reply: api.ListPodResourcesResponse) -> Iterator[Assignment]:
    """Yield every device in use. R87: one on two NUMA nodes comes twice."""
    for pod in reply.pod_resources:
        for container in pod.containers:
            for devices in container.devices:
                nodes = tuple(node.ID for node in devices.topology.nodes)
                for device in devices.device_ids:
                    yield Assignment(
                        pod.namespace,
                        pod.name,
                        container.name,
                        devices.resource_name,
                        device,
                        nodes,
                    )
