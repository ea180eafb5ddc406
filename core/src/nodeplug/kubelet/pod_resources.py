"""Asking the kubelet which container has which device."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from weakref import WeakKeyDictionary

import grpc.aio

from nodeplug.kubelet.api import podresources_v1_pb2 as api
from nodeplug.kubelet.method import method
from nodeplug.kubelet.target import target_of

# R88: the kubelet caps no answer. Channels share connections and their back-off unless they are
# told not to: to a kubelet that is no more.
OPTIONS = (
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
)
_LIST = "/v1.PodResourcesLister/List"
_LIST_SECONDS = 5.0
# R85: all its clients share 100 calls a second, and each List costs it the pods of the node.
_PAUSE_SECONDS = 1.0


class Assignment(NamedTuple):
    """A device, by the id that the kubelet knows, in a container."""

    namespace: str
    pod: str
    container: str
    resource: str
    device: str
    numa_nodes: tuple[int, ...]


async def list_pods(socket: Path) -> api.ListPodResourcesResponse | None:
    """Return the kubelet's answer, or None while it gives none.

    It says what was so after this was called. A kubelet that answers is asked once a second at
    most: whoever in this process waits for the next answer gets the same one.
    """
    loop = asyncio.get_running_loop()
    askers = _ASKERS.setdefault(loop, {})
    return await askers.setdefault(socket, _Asker(socket)).next()


class _Asker:
    """Asks one kubelet, for all of the process."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._next: asyncio.Task[api.ListPodResourcesResponse | None] | None = None
        self._earliest = 0.0

    async def next(self) -> api.ListPodResourcesResponse | None:
        """Return an answer to a question that has not been asked yet."""
        if self._next is None:
            self._next = asyncio.create_task(self._ask())
        return await asyncio.shield(self._next)

    async def _ask(self) -> api.ListPodResourcesResponse | None:
        await asyncio.sleep(max(0, self._earliest - time.monotonic()))
        self._next, self._earliest = None, time.monotonic() + _PAUSE_SECONDS
        answer = await _answer(self._socket)
        if answer is None:
            self._earliest = 0.0
        return answer


async def _answer(socket: Path) -> api.ListPodResourcesResponse | None:
    async with grpc.aio.insecure_channel(target_of(socket), options=OPTIONS) as channel:
        ask = method(
            channel, _LIST, api.ListPodResourcesRequest, api.ListPodResourcesResponse.FromString
        )
        try:
            async with asyncio.timeout(2 * _LIST_SECONDS):  # gRPC's own needs a thread of it
                return await ask(api.ListPodResourcesRequest(), timeout=_LIST_SECONDS)
        except (grpc.aio.AioRpcError, TimeoutError):
            return None


# An event loop's tasks are no other's.
_ASKERS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Path, _Asker]] = WeakKeyDictionary()


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
