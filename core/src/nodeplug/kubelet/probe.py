"""Asking a device plugin's own socket, as the kubelet would."""

import asyncio
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from itertools import starmap
from pathlib import Path

import grpc.aio
import msgspec

from nodeplug.host.files import stamp
from nodeplug.host.lane import Lane
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.method import method
from nodeplug.kubelet.target import target_of

_OPTIONS_OF = "/v1beta1.DevicePlugin/GetDevicePluginOptions"
_SECONDS = 1.0
_OPTIONS = (("grpc.default_authority", "localhost"), ("grpc.use_local_subchannel_pool", 1))


async def trouble_at(socket: Path) -> str:
    """Return why the plugin at this socket does not answer, or empty if it does."""
    async with grpc.aio.insecure_channel(target_of(socket), options=_OPTIONS) as channel:
        return await _trouble_on(channel)


class _Kept(msgspec.Struct, frozen=True):
    stamp: object
    channel: grpc.aio.Channel


class Prober:
    """Asks the same sockets again and again, on a connection to each that it keeps.

    A new one each time would cost the process more memory than it gets back.
    """

    def __init__(self) -> None:
        self._kept: dict[Path, _Kept] = {}
        self._disk = Lane()
        self._one_by_one = asyncio.Lock()

    async def troubles(self, sockets: AbstractSet[Path]) -> Mapping[Path, str]:
        """Return why the plugin at each socket does not answer, empty for one that does."""
        async with self._one_by_one:
            try:
                stamps = await self._disk.call(_stamps, sockets, timeout=_SECONDS)
            except (RuntimeError, TimeoutError):
                return dict.fromkeys(sockets, "its directory does not answer")
            for socket in self._kept.keys() - sockets:
                await self._drop(socket)
            answers = await asyncio.gather(*starmap(self._trouble_at, stamps.items()))
            return dict(zip(stamps, answers, strict=True))

    async def _trouble_at(self, socket: Path, stamp: object) -> str:
        # A connection outlives the file that it was made by, and the kubelet's next would fail.
        if stamp is None:
            return "there is no such file"
        kept = self._kept.get(socket)
        if kept is None or kept.stamp != stamp:
            await self._drop(socket)
            channel = grpc.aio.insecure_channel(target_of(socket), options=_OPTIONS)
            kept = self._kept[socket] = _Kept(stamp, channel)
        if trouble := await _trouble_on(kept.channel):
            await self._drop(socket)
        return trouble

    async def _drop(self, socket: Path) -> None:
        if kept := self._kept.pop(socket, None):
            await kept.channel.close()


def _stamps(paths: AbstractSet[Path]) -> dict[Path, object]:
    return {path: stamp(path) for path in paths}


async def _trouble_on(channel: grpc.aio.Channel) -> str:
    try:
        ask = method(channel, _OPTIONS_OF, api.Empty, api.DevicePluginOptions.FromString)
        async with asyncio.timeout(2 * _SECONDS):  # gRPC's own needs a thread of it
            await ask(api.Empty(), timeout=_SECONDS)
    except TimeoutError:
        return "gRPC does not turn"
    except grpc.aio.AioRpcError as error:
        return error.details() or error.code().name
    return ""
