"""A plugin written by hand: what any other vendor's daemon looks like from outside."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc


class Plugin(api_grpc.DevicePluginServicer):
    """Lists what `send` was last given; allocates anything."""

    def __init__(self, directory: Path, resource: str, socket: str = "plugin.sock") -> None:
        self.directory = directory
        self.resource = resource
        self.socket = socket
        self.devices: list[api.Device] = []
        self.options = api.DevicePluginOptions()
        self._wake = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    def send(self, **healths: str) -> None:
        self.devices = [api.Device(ID=i, health=h) for i, h in healths.items()]
        self._wake.set()

    async def start(self) -> None:
        self._server = grpc.aio.server()
        api_grpc.add_DevicePluginServicer_to_server(self, self._server)
        self._server.add_insecure_port(f"unix:{self.directory / self.socket}")
        await self._server.start()

    async def stop(self) -> None:
        assert self._server is not None
        await self._server.stop(grace=None)

    async def register(self, version: str = "v1beta1") -> None:
        request = api.RegisterRequest(
            version=version, endpoint=self.socket, resource_name=self.resource
        )
        target = f"unix:{self.directory / 'kubelet.sock'}"
        async with grpc.aio.insecure_channel(target) as channel:
            await api_grpc.RegistrationStub(channel).Register(request)

    async def GetDevicePluginOptions(  # noqa: N802
        self, _request: api.Empty, _context: Any
    ) -> api.DevicePluginOptions:
        return self.options

    async def ListAndWatch(  # noqa: N802
        self, _request: api.Empty, _context: Any
    ) -> AsyncIterator[api.ListAndWatchResponse]:
        while True:
            self._wake.clear()
            yield api.ListAndWatchResponse(devices=self.devices)
            await self._wake.wait()

    async def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, _context: Any
    ) -> api.AllocateResponse:
        empty = [api.ContainerAllocateResponse() for _ in request.container_requests]
        return api.AllocateResponse(container_responses=empty)

    async def GetPreferredAllocation(  # noqa: N802
        self, request: api.PreferredAllocationRequest, _context: Any
    ) -> api.PreferredAllocationResponse:
        empty = [api.ContainerPreferredAllocationResponse() for _ in request.container_requests]
        return api.PreferredAllocationResponse(container_responses=empty)

    async def PreStartContainer(  # noqa: N802
        self, _request: api.PreStartContainerRequest, _context: Any
    ) -> api.PreStartContainerResponse:
        return api.PreStartContainerResponse()
