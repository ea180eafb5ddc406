"""Plugins for real kubelets: their streams are in hand, and they note deadlines."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import pluginregistration_v1_pb2 as watcher
from support.found import FoundPlugin
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


class Slow:
    """A call that waits: `called` and `ended` tell of it, `go_on` lets it be answered."""

    def __init__(self) -> None:
        self.called, self.go_on, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.called.set()
        try:
            await self.go_on.wait()
        finally:
            self.ended.set()


async def refuse() -> None:
    """Fail instead of answering."""
    raise RuntimeError("refused")


class FoundStreamPlugin(StreamPlugin, FoundPlugin):
    """Waits to be found, and has its streams in hand then."""

    async def GetInfo(self, request: watcher.InfoRequest, context: Any) -> watcher.PluginInfo:  # noqa: N802
        self.deadlines["info"] = context.time_remaining()
        return await super().GetInfo(request, context)

    async def NotifyRegistrationStatus(  # noqa: N802
        self, request: watcher.RegistrationStatus, context: Any
    ) -> watcher.RegistrationStatusResponse:
        self.deadlines["report"] = context.time_remaining()
        return await super().NotifyRegistrationStatus(request, context)
