"""What agents on this node serve, as their own sockets say."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import grpc.aio

from nodeplug.holdings import Key
from nodeplug.host.files import FileLock
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.reasons import Reason, ask_reasons, ask_troubles
from nodeplug.kubelet.sockets import HOME
from nodeplug.kubelet.target import target_of
from nodeplug.values.device import Health
from nodeplug.values.trouble import Trouble

_SECONDS = 2.0
_OPTIONS = [
    ("grpc.default_authority", "localhost"),
    ("grpc.use_local_subchannel_pool", 1),
    # Every device of a list that the kubelet can take may have a reason.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
]
_NO_REASON = Reason("", "", held=False)


def announced(plugin_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield each resource that an agent has served here, and its socket, which may be dead."""
    locks = plugin_dir / HOME / "locks"
    for lock in sorted(locks.glob("*/*")):
        endpoint = FileLock(lock).read().partition("\n")[0]
        if endpoint:
            yield str(lock.relative_to(locks)), plugin_dir / endpoint


class Served(NamedTuple):
    """An id as the kubelet was told of it; why it is Unhealthy, where the agent says so.

    `held` says that it is so because of what containers have, and well for all we know.
    """

    health: str
    numa_nodes: tuple[int, ...]
    reason: str = ""
    held: bool = False


async def served_devices(plugin_dir: Path) -> Mapping[Key, Served]:
    """Return every id that an agent lists now.

    Asking disturbs nothing: our servers send their list to any number of clients.
    """
    resources = list(announced(plugin_dir))
    lists = await asyncio.gather(*(_listed(socket) for _, socket in resources))
    return {
        (resource, device.ID): _served(device, reasons.get(device.ID, _NO_REASON))
        for (resource, _), (reply, reasons) in zip(resources, lists, strict=True)
        for device in reply.devices
    }


async def agents_troubles(plugin_dir: Path) -> list[Trouble]:
    """Return what the agents of this node say is not as it should be, each once."""
    sockets = {socket for _, socket in announced(plugin_dir)}
    told = await asyncio.gather(*map(_troubles, sorted(sockets)))
    return list(dict.fromkeys(trouble for each in told for trouble in each))


async def _troubles(socket: Path) -> Sequence[Trouble]:
    async with grpc.aio.insecure_channel(target_of(socket), options=_OPTIONS) as channel:
        return await ask_troubles(channel, _SECONDS)


def _served(device: api.Device, reason: Reason) -> Served:
    # The list was asked first: what has fallen sick since is not, by it.
    reason = _NO_REASON if device.health == Health.HEALTHY.value else reason
    numa_nodes = tuple(node.ID for node in device.topology.nodes)
    return Served(device.health, numa_nodes, reason.text, reason.held)


async def _listed(socket: Path) -> tuple[api.ListAndWatchResponse, Mapping[str, Reason]]:
    async with grpc.aio.insecure_channel(target_of(socket), options=_OPTIONS) as channel:
        call = api_grpc.DevicePluginStub(channel).ListAndWatch(api.Empty(), timeout=_SECONDS)
        try:
            async for reply in call:
                return reply, await ask_reasons(channel, _SECONDS)
        except grpc.aio.AioRpcError:
            pass
    return api.ListAndWatchResponse(), {}
