"""A plugin that answers as a test tells it, on a kubelet of its own."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import Kubelet
from support.plugin import Plugin

RESOURCE = "example.com/thing"


class ScriptedPlugin(Plugin):
    """Counts calls; answers what `answer`, `prefer` and `before_answer` say."""

    def __init__(self, directory: Path, resource: str = RESOURCE, socket: str = "a.sock") -> None:
        super().__init__(directory, resource, socket)
        self.calls: list[list[str]] = []
        self.prepared = 0
        self.prepared_for: list[list[str]] = []
        self.answer = [api.ContainerAllocateResponse()]
        self.prefer: list[str] = []
        self.asked: list[api.ContainerPreferredAllocationRequest] = []
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    def list_numa(self, nodes: dict[str, int]) -> None:
        self.devices = [
            api.Device(
                ID=i, health="Healthy", topology=api.TopologyInfo(nodes=[api.NUMANode(ID=node)])
            )
            for i, node in nodes.items()
        ]
        self._wake.set()

    def list_raw(self, *devices: tuple[str, str]) -> None:
        self.devices = [api.Device(ID=i, health=health) for i, health in devices]
        self._wake.set()

    async def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, _context: Any
    ) -> api.AllocateResponse:
        self.calls.append(sorted(request.container_requests[0].devices_ids))
        if self.before_answer:
            await self.before_answer()
        return api.AllocateResponse(container_responses=self.answer)

    async def GetPreferredAllocation(  # noqa: N802
        self, request: api.PreferredAllocationRequest, _context: Any
    ) -> api.PreferredAllocationResponse:
        self.asked.extend(request.container_requests)
        if self.before_answer:
            await self.before_answer()
        one = api.ContainerPreferredAllocationResponse(deviceIDs=self.prefer)
        return api.PreferredAllocationResponse(container_responses=[one])

    async def PreStartContainer(  # noqa: N802
        self, request: api.PreStartContainerRequest, _context: Any
    ) -> api.PreStartContainerResponse:
        self.prepared += 1
        self.prepared_for.append(sorted(request.devices_ids))
        if self.before_answer:
            await self.before_answer()
        return api.PreStartContainerResponse()


class Scene:
    def __init__(self, kubelet: Kubelet) -> None:
        self.kubelet = kubelet
        self.directory = kubelet.directory
        self.plugin = ScriptedPlugin(kubelet.directory)

    def figures(self, resource: str = RESOURCE) -> tuple[int, int] | None:
        found = self.kubelet.capacity(resource)
        return (found.capacity, found.allocatable) if found else None

    async def reach(self, capacity: int, allocatable: int) -> None:
        await self.kubelet.until(lambda: self.figures() == (capacity, allocatable), 5)

    async def serve(self, **healths: str) -> None:
        self.plugin.send(**healths)
        await self.plugin.start()
        await self.plugin.register()
        # R31: a node may still have the capacity of a resource that its kubelet has forgotten.
        await self.kubelet.until(lambda: len(self.kubelet.devices(RESOURCE)) == len(healths), 5)
        good = sum(health == "Healthy" for health in healths.values())
        await self.reach(len(healths), good)


@asynccontextmanager
async def scene(**options: Any) -> AsyncGenerator[Scene, None]:
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    try:
        async with Kubelet(folder / "dp", pod_resources=folder / "pr.sock", **options) as kubelet:
            play = Scene(kubelet)
            try:
                yield play
            finally:
                if play.plugin._server is not None:
                    await play.plugin.stop()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)
