"""A device plugin by hand, right in everything but the rule that it is told to break.

`python any_plugin.py DIRECTORY [RULE [REGISTRY]]`: with REGISTRY, a kubelet has to find it there.
A device is lost while DIRECTORY holds a file `lost`.
"""

import asyncio
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.api import pluginregistration_v1_pb2 as found
from nodeplug.kubelet.api import pluginregistration_v1_pb2_grpc as found_grpc

RESOURCE = "example.com/any"
LONGEST_PATH = 107


class AnyPlugin(api_grpc.DevicePluginServicer, found_grpc.RegistrationServicer):
    def __init__(self, directory: Path, broken: str, registry: Path | None) -> None:
        self.directory = directory
        self.registry = registry
        self.broken = broken
        self.turn = asyncio.Lock()
        self.followed = time.monotonic() if broken == "late" else -10.0
        self.given_up: object = ()
        self.streams = 0
        self.opened = 0
        self.number = 0
        self.refused = False
        self.server: grpc.aio.Server | None = None
        self.options = api.DevicePluginOptions(
            pre_start_required=True, get_preferred_allocation_available=True
        )
        self.started = random.random()
        self.prepared = 0

    @property
    def socket(self) -> Path:
        return (self.registry or self.directory) / f"any-{os.getpid()}-{self.number}.sock"

    async def serve(self) -> None:
        self.number += 1
        limit = 4 * 1024 * 1024 if self.broken == "C22" else -1
        self.server = grpc.aio.server(options=[("grpc.max_receive_message_length", limit)])
        api_grpc.add_DevicePluginServicer_to_server(self, self.server)
        found_grpc.add_RegistrationServicer_to_server(self, self.server)
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
                known = await self._keep(known)
                absent = 0
            except (OSError, grpc.aio.AioRpcError) as error:
                absent += 1
                # A kubelet that restarts is away for an instant too, which is not C4's matter.
                if absent > 10 and self.number and self.broken == "C4":
                    sys.exit(3)
                if self.broken == "C8" and not isinstance(error, OSError):
                    self.given_up = self._identity()
                known = None
            await asyncio.sleep(0.05)

    async def _keep(self, known: object) -> object:
        identity = self._identity() if self.registry is None else "whichever finds it"
        if identity == self.given_up:
            return known
        if identity != known or self._lost():
            if known is not None and identity != known and self.broken == "C2":
                await asyncio.sleep(4)
            await self._anew()
        return identity

    def _identity(self) -> object:
        seen = (self.directory / "kubelet.sock").stat()
        return seen.st_ino, seen.st_ctime_ns if self.broken == "C3" else seen.st_mtime_ns

    def _lost(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self.streams:
            self.followed = now
        # A kubelet that comes back finds the socket within a second.
        patience = 0.0 if self.registry is None else 0.6
        patience = 6.0 if self.broken == "late" else patience
        silent = now - self.followed > patience and self.broken != "C6"
        return silent or (not self.socket.exists() and self.broken != "C5")

    async def _anew(self) -> None:
        if self.server is not None:
            followed = self.streams > 0
            await self.server.stop(grace=None)
            # R15: the kubelet takes note of the end after the fact.
            await asyncio.sleep(0.5 if followed else 0)
        if self.broken == "C1":
            self.number += 1
            await asyncio.sleep(0)
        else:
            await self.serve()
        opened, self.refused = self.opened, False
        if self.registry is None:
            await self.register()
        # The kubelet may close the connection before it asks for the list (R15).
        async with asyncio.timeout(2):
            # R73: up to 1.35 a socket that was refused is not tried again; another one is.
            while self.opened == opened and not self.refused:  # noqa: ASYNC110 - a plugin as many are
                await asyncio.sleep(0.01)

    async def GetInfo(  # noqa: N802
        self, _request: found.InfoRequest, _context: Any
    ) -> found.PluginInfo:
        async with self.turn:
            await asyncio.sleep(0.4 if self.broken == "C23" else 0)
        versions = ["v1beta1"]
        return found.PluginInfo(type="DevicePlugin", name=RESOURCE, supported_versions=versions)

    async def NotifyRegistrationStatus(  # noqa: N802
        self, request: found.RegistrationStatus, _context: Any
    ) -> found.RegistrationStatusResponse:
        self.refused = not request.plugin_registered
        return found.RegistrationStatusResponse()

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
        self.opened += 1
        try:
            if self.broken == "C10":
                yield api.ListAndWatchResponse()
                await asyncio.sleep(0.5)
            flooded = self.directory / "flooded"
            if self.broken == "C13" and not flooded.exists():
                flooded.touch()
                yield api.ListAndWatchResponse(devices=self._devices())
                await asyncio.sleep(0.2)
                many = [
                    api.Device(ID=f"{number:060}", health="Healthy") for number in range(70_000)
                ]
                yield api.ListAndWatchResponse(devices=many)
            last: list[api.Device] = []
            while True:
                if last != (last := self._devices()) or self.broken in {"C18", "flood"}:
                    yield api.ListAndWatchResponse(devices=last)
                await asyncio.sleep({"C18": 0.5, "flood": 0}.get(self.broken, 0.05))
        finally:
            self.streams -= 1

    def _devices(self) -> list[api.Device]:
        devices = [api.Device(ID=f"d{number}", health="Healthy") for number in range(3)]
        if (self.directory / "lost").exists():
            lost = devices.pop()
            if self.broken != "C12":
                devices.append(api.Device(ID=lost.ID, health="Unhealthy"))
        if self.broken == "C11":
            devices[0].topology.nodes.append(api.NUMANode(ID=-1))
        return devices

    async def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, context: Any
    ) -> api.AllocateResponse:
        if self.broken == "refuses":
            await context.abort(grpc.StatusCode.INTERNAL, "not today")
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


async def main(directory: Path, broken: str, registry: Path | None) -> None:
    plugin = AnyPlugin(directory, broken, registry)
    if len(os.fsencode(plugin.socket)) > LONGEST_PATH:
        if broken == "C20":
            await asyncio.Event().wait()
        sys.exit(2)
    if broken == "C19":
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: None)
    while broken in {"C6", "C7"} and any(map(answers, directory.glob("any-*.sock"))):
        if broken == "C7":
            sys.exit(4)
        await asyncio.sleep(0.05)
    await plugin.run()


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        return not caller.connect_ex(str(path))


if __name__ == "__main__":
    words = [*sys.argv[1:], ""]
    found_in = Path(words[2]) if len(words) > 3 else None
    asyncio.run(main(Path(words[0]), words[1], found_in))
