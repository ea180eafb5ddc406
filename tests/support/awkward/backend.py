import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec

from nodeplug.backend import (
    Backend,
    BackendSpec,
    HostFile,
    HostFiles,
    Labels,
    Measurement,
    Offered,
    Omissions,
    Preparer,
    Presence,
    Telemetry,
    hookimpl,
)
from nodeplug.host.files import write_atomically
from nodeplug.host.host import Host
from nodeplug.host.root import HostRoot
from nodeplug.host.steady_watch import SteadyWatch
from nodeplug.values.device import Device, Health
from nodeplug.values.edits import ContainerEdits, DeviceNode, Hook, Mount
from nodeplug.values.errors import AllocationRefusedError
from nodeplug.values.inventory import Inventory
from nodeplug.values.section import Section
from support.awkward.state import State, read_state, state_file, write_state


class Settings(Section, frozen=True):
    """The awkward backend's configuration."""

    domain: Annotated[str, msgspec.Meta(description="Domain of the resources.")] = (
        "awkward.example.com"
    )
    revision: Annotated[int, msgspec.Meta(description="Nothing but another number.")] = 0


class AwkwardBackend:
    def __init__(self, settings: Settings, root: HostRoot) -> None:
        self._domain = settings.domain
        self._root = root
        self._state = State()
        self._extra: dict[tuple[str, bool], Device] = {}

    async def inventories(self) -> AsyncGenerator[Inventory, None]:
        async with SteadyWatch("awkward") as watch:
            file = state_file(self._root)
            watch.add(file.parent, frozenset({file.name}))
            last = None
            while True:
                self._state = read_state(self._root)
                if self._state.crash:
                    raise RuntimeError("crashed on demand")
                if (inventory := self._inventory()) != last:
                    last = inventory
                    yield inventory
                await anext(aiter(watch))

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:
        if self._state.hang:
            await asyncio.Event().wait()
        if self._state.fail:
            raise AllocationRefusedError("told to fail")
        if self._state.fault in {device.id for device in devices}:
            raise AllocationRefusedError("told to be at fault", [self._state.fault])
        ids = ",".join(device.id for device in devices)
        kind = resource.partition("/")[2].replace("-", "_").upper()
        rival = DeviceNode("/dev/zero", self._place_of(self._state.contradicted))
        nodes = (rival,) if self._state.contradicted else ()
        return ContainerEdits(nodes=nodes, envs={f"AWKWARD_{kind}": ids})

    async def prepare(self, resource: str, devices: Sequence[Device]) -> None:
        for device in devices:
            mark = self._root.path(f"/awkward/prepared-{device.id}")
            write_atomically(mark, resource.encode())

    def host_files(self, offers: Mapping[str, Sequence[Device]]) -> Sequence[HostFile]:
        self._spoil("host_files")
        common = HostFile("/awkward/info", b"awkward")
        own = [
            HostFile(f"/awkward/info-{device.id}", resource.encode(), resource, device.id)
            for resource, devices in offers.items()
            for device in devices
            if device.id.startswith("awk-board")
        ]
        return [common, *own]

    def labels(self, offers: Mapping[str, Offered]) -> Mapping[str, str]:
        self._spoil("labels")
        counts = {
            f"{self._domain}/{name.partition('/')[2]}.count": str(len(each.devices) * each.replicas)
            for name, each in offers.items()
        }
        return counts | {"no label": "at all"}

    async def measure(self) -> Sequence[Measurement]:
        if self._state.hang:
            await asyncio.Event().wait()
        return [
            Measurement(f"awk-board-{board}", "temperature_celsius", 40.5 + board)
            for board in range(self._state.boards)
        ]

    def _spoil(self, method: str) -> None:
        if self._state.spoilt == method:
            raise RuntimeError(f"{method} spoilt on demand")

    def _inventory(self) -> Inventory:
        left_out = Omissions()
        inventory = Inventory.of(
            (d for d in self._devices(left_out) if d.id not in self._state.missing),
            resources=[f"{self._domain}/{kind}" for kind in ("board", "slice")],
            prepared=[f"{self._domain}/board"],
            edits=ContainerEdits(mounts=(Mount("/awkward/info", "/etc/awkward"),)),
        )
        return replace(inventory, left_out=left_out)

    def _devices(self, left_out: Omissions) -> Iterator[Device]:
        for board in range(self._state.boards):
            with left_out.alone(f"board {board}"):
                yield self._device("board", f"awk-board-{board}", board)
            for part in range(2):
                yield self._device("slice", f"awk-board-{board}-slice-{part}", board)
        for extra in range(self._state.extra):
            device_id = f"awk-extra-{extra}"
            key = device_id, device_id in self._state.sick
            if key not in self._extra:
                self._extra[key] = self._device("extra", device_id, extra)
            yield self._extra[key]

    def _device(self, kind: str, device_id: str, board: int) -> Device:
        sick = device_id in self._state.sick
        numa_nodes = (board % 2,) if self._state.numa else ()
        hook = Hook("createContainer", "/usr/bin/true", ("true", device_id))
        name = f"{kind}-renamed" if device_id in self._state.renamed else kind
        return Device(
            id=device_id,
            resource=f"{self._domain}/{name}",
            health=Health.UNHEALTHY if sick else Health.HEALTHY,
            reason="told to be sick" if sick else "",
            parent=f"awk-board-{board}" if kind == "slice" else "",
            numa_nodes=(64,) if device_id in self._state.odd else numa_nodes,
            attributes={"board": board},
            edits=ContainerEdits(
                nodes=(DeviceNode(self._node_of(device_id), self._place_of(device_id)),),
                hooks=(hook,),
            ),
        )

    def _node_of(self, device_id: str) -> str:
        return self._state.nodes.get(device_id, "/dev/null")

    def _place_of(self, device_id: str) -> str:
        return self._state.places.get(device_id, f"/dev/{device_id}")


class AwkwardSimulator:
    """Four boards with two slices each; a board is lost by falling sick."""

    resource = "awkward.example.com/board"
    settings: dict[str, object] = {}  # noqa: RUF012 - a protocol's attribute

    def __init__(self, folder: Path) -> None:
        self._root = HostRoot(folder)
        self.recover()

    def lose(self) -> str:
        write_state(self._root, State(sick=("awk-board-1",)))
        return "awk-board-1"

    def recover(self) -> None:
        write_state(self._root, State())


def build(settings: Settings, host: Host, _previous: Backend | None) -> AwkwardBackend:
    return AwkwardBackend(settings, host.root)


SPEC = BackendSpec(
    name="awkward",
    summary="Simulated hardware with every difficulty",
    settings=Settings,
    build=build,
    probe=lambda root: Presence(state_file(root).exists(), str(state_file(root))),
    simulator=AwkwardSimulator,
    capabilities=frozenset({Preparer, HostFiles, Labels, Telemetry}),
)


@hookimpl
def nodeplug_backend() -> BackendSpec:
    return SPEC
