"""An agent with the awkward backend, in one process, under a kubelet of any kind."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kubelets.kinds import DEFAULT, AnyKubelet, Kind
from nodeplug.backend import BackendSpec
from nodeplug.host.host import open_host
from nodeplug.host.root import HostRoot
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.supervisor.report import ResourceReport
from nodeplug.testing import Topology
from support.awkward.backend import SPEC, Settings
from support.awkward.state import State, write_state

if TYPE_CHECKING:
    from nodeplug.offers import OfferRule

BOARD = "awkward.example.com/board"
SLICE = "awkward.example.com/slice"
EXTRA = "awkward.example.com/extra"


class Stage:
    """One node: host, directories, kubelet, and agents started and ended at will."""

    def __init__(self, folder: Path, kubelet: AnyKubelet) -> None:
        self.kubelet = kubelet
        self.directory = folder / "dp"
        self.host = HostRoot(folder / "host")
        self.pod_resources = folder / "pr.sock"
        self.cdi_dir = folder / "cdi"
        self.features = ""
        self.installation = ""
        self.registry: Path | None = None
        self.agents: list[asyncio.Task[None]] = []
        self.rules: list[OfferRule] = []

    def set(self, state: State) -> None:
        write_state(self.host, state)

    def start_agent(self, *specs: BackendSpec) -> asyncio.Task[None]:
        backends = [ConfiguredBackend(spec, Settings()) for spec in specs or (SPEC,)]
        host = open_host(str(self.host.root), str(self.host.root / "uevents.sock"))
        self.agent = agent = Agent(
            backends,
            host,
            Node(
                self.directory,
                self.pod_resources,
                Rules(self.rules),
                self.cdi_dir,
                self.features,
                self.registry,
                installation=self.installation,
                ledger_dir=self.directory.with_name("ledger"),
            ),
        )
        task = asyncio.create_task(agent.run())
        self.agents.append(task)
        return task

    async def reload(self) -> None:
        """Let the agent started last take the rules over."""
        await self.agent.apply(Rules(self.rules), {})

    def label_files(self) -> list[Path]:
        """Return the files with labels of the awkward backend, one of each installation."""
        return sorted(self.host.path(self.features).glob("nodeplug-awkward-*"))

    async def stop_agent(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        self.agents.remove(task)

    async def listed(self, resource: str = BOARD, *, allocatable: int) -> None:
        await self.kubelet.until(lambda: self.allocatable(resource) == allocatable)

    async def lists(self, count: int, resource: str = BOARD) -> list[int]:
        """Wait for so many lists, and return how many devices there were in each so far."""
        await self.kubelet.until(lambda: len(self.kubelet.journal.of("list", resource)) >= count)
        return [event.count for event in self.kubelet.journal.of("list", resource)]

    def report(self, resource: str = BOARD) -> ResourceReport:
        """Return what the agent started last says of a resource."""
        [found] = [r for r in self.agent.report().resources if r.pool.resource == resource]
        return found

    def allocatable(self, resource: str = BOARD) -> int:
        capacity = self.kubelet.capacity(resource)
        return -1 if capacity is None else capacity.allocatable


@asynccontextmanager
async def stage(  # noqa: PLR0913 - all are options
    state: State | None = None,
    *,
    agents: int = 1,
    watcher: bool = False,
    kind: Kind = DEFAULT,
    topology: Topology | None = None,
    prefix: str = "np",
) -> AsyncGenerator[Stage, None]:
    """Open a stage with four boards, and wait until they are listed if an agent is wanted.

    With `watcher` agents are found by the kubelet instead of calling it.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp"))
    try:
        for name in ("dp", "host", "registry"):
            (folder / name).mkdir()
        registry = folder / "registry" if watcher else None
        kubelet = kind.make(
            folder / "dp",
            pod_resources=folder / "pr.sock",
            plugin_registry=registry,
            topology=topology,
        )
        async with kubelet:
            play = Stage(folder, kubelet)
            play.registry = registry
            play.set(state or State())
            for _ in range(agents):
                play.start_agent()
            if agents:
                await play.listed(allocatable=(state or State()).boards)
            try:
                yield play
            finally:
                for task in list(play.agents):
                    await play.stop_agent(task)
    finally:
        shutil.rmtree(folder)
