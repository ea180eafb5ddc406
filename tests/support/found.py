"""A plugin that waits for a kubelet to find it in its plugin registry."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as plugin_grpc
from nodeplug.kubelet.api import pluginregistration_v1_pb2 as api
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as api_grpc
from nodeplug.testing.patience import patience
from support.plugin import Plugin


class FoundPlugin(Plugin, api_grpc.RegistrationServicer):
    """Says who it is: what `info` has, after `before_info`.

    `introduced` has when a kubelet wanted to know that, `told` what it reported. When `deaf` the
    plugin refuses the report.
    """

    def __init__(self, directory: Path, resource: str, socket: str) -> None:
        super().__init__(directory, resource, socket)
        self.info: dict[str, Any] = {
            "type": "DevicePlugin",
            "name": resource,
            "supported_versions": ["v1beta1"],
        }
        self.before_info: Callable[[], Awaitable[object]] | None = None
        self.introduced: list[float] = []
        self.told: list[tuple[bool, str]] = []
        self.deaf = False
        self._news = asyncio.Event()

    @property
    def path(self) -> Path:
        return self.directory / self.socket

    async def start(self) -> None:
        self._server = grpc.aio.server()
        plugin_grpc.add_DevicePluginServicer_to_server(self, self._server)
        api_grpc.add_RegistrationServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{self.path}")
        await self._server.start()

    async def GetInfo(self, _request: api.InfoRequest, _context: Any) -> api.PluginInfo:  # noqa: N802
        self.introduced.append(asyncio.get_running_loop().time())
        self._news.set()
        if self.before_info:
            await self.before_info()
        return api.PluginInfo(**self.info)

    async def NotifyRegistrationStatus(  # noqa: N802
        self, request: api.RegistrationStatus, context: Any
    ) -> api.RegistrationStatusResponse:
        self.told.append((request.plugin_registered, request.error))
        self._news.set()
        if self.deaf:
            await context.abort(grpc.StatusCode.INTERNAL, "not listening")
        return api.RegistrationStatusResponse()

    async def until_introduced(self, times: int = 1) -> None:
        await self._until(lambda: len(self.introduced) >= times)

    async def until_told(self, times: int = 1) -> None:
        await self._until(lambda: len(self.told) >= times)

    async def _until(self, holds: Callable[[], bool]) -> None:
        async with patience(25):
            while not holds():
                self._news.clear()
                await self._news.wait()
