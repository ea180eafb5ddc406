"""What agents on this node serve, as their own sockets say."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import grpc.aio

from nodeplug.holdings import Key
from nodeplug.host.files import FileLock
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.sockets import HOME

_SECONDS = 2.0
_OPTIONS = [("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1)]


def announced(plugin_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield each resource that an agent has served here, and its socket, which may be dead."""
    locks = plugin_dir / HOME / "locks"
    for lock in sorted(locks.glob("*/*")):
        endpoint = FileLock(lock).read()
        if endpoint:
            yield str(lock.relative_to(locks)), plugin_dir / endpoint


class Served(NamedTuple):
    """An id as the kubelet was told of it."""

    health: str
    numa_nodes: tuple[int, ...]


async def served_devices(plugin_dir: Path) -> Mapping[Key, Served]:
    """Return every id that an agent lists now.

    Asking disturbs nothing: our servers send their list to any number of clients.
    """
    resources = list(announced(plugin_dir))
    lists = await asyncio.gather(*(_listed(socket) for _, socket in resources))
    return {
        (resource, device.ID): Served(
            device.health, tuple(node.ID for node in device.topology.nodes)
        )
        for (resource, _), reply in zip(resources, lists, strict=True)
        for device in reply.devices
    }


async def _listed(socket: Path) -> api.ListAndWatchResponse:
    async with grpc.aio.insecure_channel(f"unix:{socket}", options=_OPTIONS) as channel:
        call = api_grpc.DevicePluginStub(channel).ListAndWatch(api.Empty(), timeout=_SECONDS)
        try:
            async for reply in call:
                return reply
        except grpc.aio.AioRpcError:
            pass
    return api.ListAndWatchResponse()
