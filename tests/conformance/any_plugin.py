"""A device plugin by hand, right in everything but the rule that it is told to break.

`python any_plugin.py DIRECTORY [RULE]`
"""

import asyncio
import random
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc

RESOURCE = "example.com/any"


class AnyPlugin(api_grpc.DevicePluginServicer):
    def __init__(self, directory: Path, broken: str) -> None:
        self.directory = directory
        self.broken = broken
        self.streams = 0
        self.number = 0
        self.server: grpc.aio.Server | None = None
        self.options = api.DevicePluginOptions(
            pre_start_required=True, get_preferred_allocation_available=True
        )
        self.started = random.random()
        self.prepared = 0

    @property
    def socket(self) -> Path:
        return self.directory / f"any-{self.number}.sock"

    async def serve(self) -> None:
        self.number += 1
        limit = 4 * 1024 * 1024 if self.broken == "C22" else -1
        self.server = grpc.aio.server(options=[("grpc.max_receive_message_length", limit)])
        api_grpc.add_DevicePluginServicer_to_server(self, self.server)
        self.server.add_insecure_port(f"unix:{self.socket}")
        await self.server.start()

    async def register(self) -> None:
        options = api.DevicePluginOptions() if self.broken == "C17" else self.options
        request = api.RegisterRequest(
            version="v1beta1",
            endpoint=self.socket.name,
            resource_name=RESOURCE,
            options=options,
        )
        target = f"unix:{self.directory / 'kubelet.sock'}"
        async with grpc.aio.insecure_channel(target) as channel:
            await api_grpc.RegistrationStub(channel).Register(request, timeout=15)

    async def run(self) -> None:
        """Register with every kubelet, and again when the stream or the socket is lost."""
        known: object = None
        absent = 0
        while True:
            try:
                found = (self.directory / "kubelet.sock").stat()
                absent = 0
                identity = (found.st_ino, found.st_mtime_ns)
                lost = self._lost()
                if identity != known or lost:
                    if known is not None and identity != known and self.broken == "C2":
                        await asyncio.sleep(1.5)
                    await self._anew()
                    known = identity
            except (OSError, grpc.aio.AioRpcError):
                absent += 1
                # A kubelet that restarts is away for an instant too, which is not C4's matter.
                if absent > 10 and self.number and self.broken == "C4":
                    sys.exit(3)
                known = None
            await asyncio.sleep(0.05)

    def _lost(self) -> bool:
        gone = not self.socket.exists() and self.broken != "C5"
        silent = not self.streams and self.broken != "C6"
        return gone or silent

    async def _anew(self) -> None:
        if self.server is not None:
            await self.server.stop(grace=None)
            await asyncio.sleep(0.1)
        if self.broken == "C1":
            self.number += 1
            await asyncio.sleep(0)
        else:
            await self.serve()
        await self.register()
        async with asyncio.timeout(0.3):
            while not self.streams:  # noqa: ASYNC110 - a plugin as many are
                await asyncio.sleep(0.01)

    async def GetDevicePluginOptions(  # noqa: N802
        self, _request: api.Empty, _context: Any
    ) -> api.DevicePluginOptions:
        return self.options

    async def ListAndWatch(  # noqa: N802
        self, _request: api.Empty, _context: Any
    ) -> AsyncIterator[api.ListAndWatchResponse]:
        if self.streams and self.broken == "C9":
            return
        self.streams += 1
        try:
            if self.broken == "C10":
                yield api.ListAndWatchResponse()
                await asyncio.sleep(0.5)
            while True:
                yield api.ListAndWatchResponse(devices=self._devices())
                await asyncio.sleep(0.5 if self.broken == "C18" else 3600)
        finally:
            self.streams -= 1

    def _devices(self) -> list[api.Device]:
        devices = [api.Device(ID=f"d{number}", health="Healthy") for number in range(3)]
        if self.broken == "C11":
            devices[0].topology.nodes.append(api.NUMANode(ID=-1))
        return devices

    async def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, context: Any
    ) -> api.AllocateResponse:
        known = {f"d{number}" for number in range(3)}
        replies = []
        for container in request.container_requests:
            if not set(container.devices_ids) <= known and self.broken != "C14":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such device")
            envs = {"ANY": ",".join(sorted(container.devices_ids))}
            if self.broken == "C21":
                envs["START"] = str(self.started)
            replies.append(api.ContainerAllocateResponse(envs=envs))
        return api.AllocateResponse(container_responses=replies)

    async def GetPreferredAllocation(  # noqa: N802
        self, request: api.PreferredAllocationRequest, _context: Any
    ) -> api.PreferredAllocationResponse:
        answers = []
        for asked in request.container_requests:
            first = [] if self.broken == "C15" else list(asked.must_include_deviceIDs)
            rest = [i for i in asked.available_deviceIDs if i not in first]
            answers.append(
                api.ContainerPreferredAllocationResponse(
                    deviceIDs=[*first, *rest][: asked.allocation_size]
                )
            )
        return api.PreferredAllocationResponse(container_responses=answers)

    async def PreStartContainer(  # noqa: N802
        self, _request: api.PreStartContainerRequest, context: Any
    ) -> api.PreStartContainerResponse:
        self.prepared += 1
        if self.prepared > 1 and self.broken == "C16":
            await context.abort(grpc.StatusCode.ALREADY_EXISTS, "prepared already")
        return api.PreStartContainerResponse()


async def main(directory: Path, broken: str) -> None:
    plugin = AnyPlugin(directory, broken)
    if broken == "C19":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    await plugin.run()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
