"""Plugins for real kubelets: their streams are in hand, and they note deadlines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.api import pluginregistration_v1_pb2 as watcher
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as watcher_grpc
from support.scripted import ScriptedPlugin


class StreamPlugin(ScriptedPlugin):
    """Has each of its streams in hand: what it sends, and whether it ends."""

    def __init__(self, directory: Path, resource: str, socket: str) -> None:
        super().__init__(directory, resource, socket)
        self.streams: list[Stream] = []
        self.deadlines: dict[str, float | None] = {}
        self.before_options: Callable[[], Awaitable[None]] | None = None

    def send(self, **healths: str) -> None:
        super().send(**healths)
        for stream in self.streams:
            stream.send(self.devices)

    async def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, context: Any
    ) -> api.AllocateResponse:
        self.deadlines["allocate"] = context.time_remaining()
        return await super().Allocate(request, context)

    async def GetPreferredAllocation(  # noqa: N802
        self, request: api.PreferredAllocationRequest, context: Any
    ) -> api.PreferredAllocationResponse:
        self.deadlines["prefer"] = context.time_remaining()
        return await super().GetPreferredAllocation(request, context)

    async def PreStartContainer(  # noqa: N802
        self, request: api.PreStartContainerRequest, context: Any
    ) -> api.PreStartContainerResponse:
        self.deadlines["prepare"] = context.time_remaining()
        return await super().PreStartContainer(request, context)

    async def GetDevicePluginOptions(  # noqa: N802
        self, _request: api.Empty, context: Any
    ) -> api.DevicePluginOptions:
        self.deadlines["options"] = context.time_remaining()
        if self.before_options:
            await self.before_options()
        return self.options

    def answer_with(self, path: str) -> None:
        """Let containers have a device node of this path from now on."""
        node = api.DeviceSpec(container_path="/dev/it", host_path=path, permissions="rw")
        self.answer = [api.ContainerAllocateResponse(devices=[node])]

    async def ListAndWatch(  # noqa: N802
        self, _request: api.Empty, context: Any
    ) -> AsyncIterator[api.ListAndWatchResponse]:
        self.deadlines["list"] = context.time_remaining()
        stream = Stream()
        self.streams.append(stream)
        try:
            yield api.ListAndWatchResponse(devices=self.devices)
            async for response in stream:
                yield response
        finally:
            stream.ended.set()


class Stream:
    """One ListAndWatch call; `ended` is set when it is over, whoever ended it."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self._lists: asyncio.Queue[list[api.Device] | None] = asyncio.Queue()

    def send(self, devices: list[api.Device]) -> None:
        self._lists.put_nowait(devices)

    def end(self) -> None:
        self._lists.put_nowait(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> api.ListAndWatchResponse:
        devices = await self._lists.get()
        if devices is None:
            raise StopAsyncIteration
        return api.ListAndWatchResponse(devices=devices)


class FoundPlugin(StreamPlugin, watcher_grpc.RegistrationServicer):
    """Says who it is when a kubelet finds it, unless `dumb`.

    `introduced` has when it was asked, `told` what was reported to it. When `deaf` it refuses that.
    """

    def __init__(self, directory: Path, resource: str, socket: str) -> None:
        super().__init__(directory, resource, socket)
        self.introduced: list[float] = []
        self.told: list[tuple[bool, str]] = []
        self.deaf = self.dumb = False
        self._news = asyncio.Event()

    async def start(self) -> None:
        self._server = grpc.aio.server()
        api_grpc.add_DevicePluginServicer_to_server(self, self._server)
        watcher_grpc.add_RegistrationServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()

    @property
    def path(self) -> str:
        return str(self.directory / self.socket)

    async def GetInfo(self, _request: watcher.InfoRequest, context: Any) -> watcher.PluginInfo:  # noqa: N802
        self.deadlines["info"] = context.time_remaining()
        self.introduced.append(asyncio.get_running_loop().time())
        self._news.set()
        if self.dumb:
            await context.abort(grpc.StatusCode.INTERNAL, "no answer")
        return watcher.PluginInfo(
            type="DevicePlugin", name=self.resource, supported_versions=["v1beta1"]
        )

    async def NotifyRegistrationStatus(  # noqa: N802
        self, request: watcher.RegistrationStatus, context: Any
    ) -> watcher.RegistrationStatusResponse:
        self.deadlines["report"] = context.time_remaining()
        self.told.append((request.plugin_registered, request.error))
        self._news.set()
        if self.deaf:
            await context.abort(grpc.StatusCode.INTERNAL, "not listening")
        return watcher.RegistrationStatusResponse()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that a call may change."""
        async with asyncio.timeout(25):
            while not holds():
                self._news.clear()
                await self._news.wait()
