"""Asking the kubelet for all devices of the node, in use or not."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import grpc.aio

from nodeplug.holdings import Key
from nodeplug.kubelet.api import podresources_v1_pb2 as api
from nodeplug.kubelet.api import podresources_v1_pb2_grpc as api_grpc
from nodeplug.kubelet.pod_resources import OPTIONS, Assignment, assignments
from nodeplug.kubelet.target import target_of
from nodeplug.values.errors import PodResourcesError

_SECONDS = 5.0
# A kubelet without the call, or with it switched off, answers so.
_UNSUPPORTED = {grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNKNOWN}


class Stock(NamedTuple):
    """What containers have, and what they could have: healthy ids with their NUMA nodes (R88).

    `allocatable` is None where the kubelet does not tell.
    """

    held: tuple[Assignment, ...]
    allocatable: Mapping[Key, tuple[int, ...]] | None


async def take_stock(socket: Path) -> Stock:
    """Return what the kubelet says now; raise PodResourcesError while it says nothing."""
    async with grpc.aio.insecure_channel(target_of(socket), options=OPTIONS) as channel:
        stub = api_grpc.PodResourcesListerStub(channel)
        try:
            listed = await stub.List(api.ListPodResourcesRequest(), timeout=_SECONDS)
            return Stock(tuple(assignments(listed)), await _allocatable(stub))
        except grpc.aio.AioRpcError as error:
            raise PodResourcesError(f"{socket}: {_why(socket, error)}") from error


async def _allocatable(
    stub: "api_grpc.PodResourcesListerAsyncStub",
) -> Mapping[Key, tuple[int, ...]] | None:
    request = api.AllocatableResourcesRequest()
    try:
        reply = await stub.GetAllocatableResources(request, timeout=_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() in _UNSUPPORTED:
            return None
        raise
    found: dict[Key, tuple[int, ...]] = {}
    for devices in reply.devices:
        nodes = [node.ID for node in devices.topology.nodes]
        for device in devices.device_ids:
            # R87: one on two NUMA nodes comes twice.
            key = devices.resource_name, device
            found[key] = tuple(sorted({*found.get(key, ()), *nodes}))
    return found


def _why(socket: Path, error: grpc.aio.AioRpcError) -> str:
    if not socket.exists():
        return "is not there; is a kubelet on this host, and is its pod-resources mounted here?"
    details = " ".join((error.details() or "").split())
    return f"the kubelet does not answer: {details or error.code().name}"
