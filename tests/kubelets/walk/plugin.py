"""A device plugin that does what a step tells it, on either side."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import grpc
import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc

# The sub-directory with the plugins' sockets, which a kubelet's start leaves alone (R7).
HOME = "p"


@dataclass(frozen=True, slots=True)
class ListedDevice:
    """A device of a list; `nodes` is None where it has no topology at all."""

    id: str
    health: str = "Healthy"
    nodes: tuple[int, ...] | None = None

    def as_message(self) -> api.Device:
        device = api.Device(ID=self.id, health=self.health)
        if self.nodes is not None:
            device.topology.nodes.extend(api.NUMANode(ID=node) for node in self.nodes)
            device.topology.SetInParent()
        return device


@dataclass(frozen=True, slots=True)
class Manners:
    """How a plugin answers.

    "list first" sends its list again, and waits until it has arrived; "others" prefers devices
    that it was not offered; streams that "end" have no list.
    """

    allocate: Literal["devices", "list first", "error", "nothing"] = "devices"
    prefer: Literal["last", "few", "strange", "others", "nothing", "no answer", "error"] = "nothing"
    prepare: Literal["fine", "error"] = "fine"
    options: Literal["fine", "error"] = "fine"
    streams: Literal["list", "end"] = "list"
    pre_start_required: bool = False
    get_preferred_allocation_available: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call that a plugin got; `written` are the containers that the checkpoint then had."""

    plugin: str
    method: str
    ids: tuple[str, ...] = ()
    must_include: tuple[str, ...] = ()
    size: int = 0
    written: tuple[tuple[str, str, str], ...] = ()


class Lists(Protocol):
    """Whoever counts the lists that a kubelet has dealt with."""

    @property
    def lists(self) -> int: ...

    async def until_lists(self, number: int) -> None: ...


@dataclass(slots=True)
class Calls:
    """All calls of one side, in order.

    `written` looks into its checkpoint, `lists` counts the lists that have arrived.
    """

    written: Callable[[], Iterable[tuple[str, str, str]]]
    lists: Lists
    all: list[Call] = field(default_factory=list)

    def note(self, plugin: str, method: str, **facts: Any) -> None:
        written = tuple(sorted(self.written()))
        self.all.append(Call(plugin, method, written=written, **facts))


class WalkPlugin(api_grpc.DevicePluginServicer):
    """Serves one resource at a socket of its name."""

    def __init__(self, name: str, resource: str, directory: Path, calls: Calls) -> None:
        self.name = name
        self.resource = resource
        self.manners = Manners()
        self.devices: Sequence[ListedDevice] = ()
        self.streams = 0
        self.idle = asyncio.Event()
        self.idle.set()
        self._directory = directory
        self._calls = calls
        self._changed = asyncio.Event()
        self._ends = 0
        self._server: grpc.aio.Server | None = None

    async def start(self) -> None:
        (self._directory / HOME).mkdir(exist_ok=True)
        self._server = grpc.aio.server()
        self.add_to(self._server)
        self._server.add_insecure_port(f"unix:{self._directory / HOME / self.name}")
        await self._server.start()

    def add_to(self, server: grpc.aio.Server) -> None:
        api_grpc.add_DevicePluginServicer_to_server(self, server)

    async def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            await server.stop(grace=None)

    async def register(self, version: str = "v1beta1", resource: str = "") -> str:
        """Register and return the text of the refusal; "" if there is none."""
        request = api.RegisterRequest(
            version=version,
            endpoint=f"{HOME}/{self.name}",
            resource_name=resource or self.resource,
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        target = f"unix:{self._directory / 'kubelet.sock'}"
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            try:
                await api_grpc.RegistrationStub(channel).Register(request)
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name}: {error.details()}"
        return ""

    def send(self, devices: Sequence[ListedDevice]) -> None:
        self.devices = devices
        self._wake()

    def end_streams(self) -> None:
        self._ends += 1
        self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def GetDevicePluginOptions(  # noqa: N802
        self, _: api.Empty, context: Any
    ) -> api.DevicePluginOptions:
        self._calls.note(self.name, "GetDevicePluginOptions")
        await self._fail_if(self.manners.options, context)
        return api.DevicePluginOptions(
            pre_start_required=self.manners.pre_start_required,
            get_preferred_allocation_available=self.manners.get_preferred_allocation_available,
        )

    async def ListAndWatch(  # noqa: N802
        self, _: api.Empty, _context: Any
    ) -> AsyncIterator[api.ListAndWatchResponse]:
        if self.manners.streams == "end":
            return
        self.streams += 1
        self.idle.clear()
        ends = self._ends
        try:
            while ends == self._ends:
                changed = self._changed
                yield api.ListAndWatchResponse(devices=[d.as_message() for d in self.devices])
                await changed.wait()
        finally:
            self.streams -= 1
            if not self.streams:
                self.idle.set()

    async def Allocate(  # noqa: N802
        self, request: api.AllocateRequest, context: Any
    ) -> api.AllocateResponse:
        ids = tuple(sorted(request.container_requests[0].devices_ids))
        self._calls.note(self.name, "Allocate", ids=ids)
        await self._fail_if(self.manners.allocate, context)
        # A list without these ids could end the kubelet (R33).
        if self.manners.allocate == "list first" and {d.id for d in self.devices} >= {*ids}:
            arrived = self._calls.lists.lists + self.streams
            self.send(self.devices)
            await self._calls.lists.until_lists(arrived)
        if self.manners.allocate == "nothing":
            return api.AllocateResponse()
        return api.AllocateResponse(container_responses=[self._response(ids)])

    async def GetPreferredAllocation(  # noqa: N802
        self, request: api.PreferredAllocationRequest, context: Any
    ) -> api.PreferredAllocationResponse:
        wanted = request.container_requests[0]
        available = tuple(sorted(wanted.available_deviceIDs))
        must = tuple(sorted(wanted.must_include_deviceIDs))
        self._calls.note(
            self.name,
            "GetPreferredAllocation",
            ids=available,
            must_include=must,
            size=wanted.allocation_size,
        )
        await self._fail_if(self.manners.prefer, context)
        if self.manners.prefer == "no answer":
            return api.PreferredAllocationResponse()
        ids = self._preferred(available, must, wanted.allocation_size)
        one = api.ContainerPreferredAllocationResponse(deviceIDs=ids)
        return api.PreferredAllocationResponse(container_responses=[one])

    async def PreStartContainer(  # noqa: N802
        self, request: api.PreStartContainerRequest, context: Any
    ) -> api.PreStartContainerResponse:
        ids = tuple(sorted(request.devices_ids))
        self._calls.note(self.name, "PreStartContainer", ids=ids)
        await self._fail_if(self.manners.prepare, context)
        return api.PreStartContainerResponse()

    def _preferred(self, available: Sequence[str], must: Sequence[str], size: int) -> list[str]:
        last = [*must, *(i for i in reversed(available) if i not in must)][:size]
        match self.manners.prefer:
            case "last":
                return last
            case "few":
                return last[: size // 2]
            case "strange":
                return ["nobody", *last, *last]
            case "others":
                return [d.id for d in self.devices if d.id not in available][:size]
        return []

    def _response(self, ids: Sequence[str]) -> api.ContainerAllocateResponse:
        short = self.resource.rpartition("/")[2]
        return api.ContainerAllocateResponse(
            envs={short.upper(): ",".join(ids), f"{short.upper()}_PLUGIN": self.name},
            annotations={f"example.com/{short}": ids[0]},
            devices=[
                api.DeviceSpec(container_path=f"/dev/{i}", host_path=f"/dev/{i}", permissions="rw")
                for i in ids
            ],
            mounts=[api.Mount(container_path=f"/{short}", host_path="/opt", read_only=True)],
            cdi_devices=[api.CDIDevice(name=f"example.com/{short}={i}") for i in ids],
        )

    async def _fail_if(self, manner: str, context: Any) -> None:
        if manner == "error":
            await context.abort(grpc.StatusCode.INTERNAL, f"{self.name} was told to fail")
