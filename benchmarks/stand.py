"""A node for agents of any tree: embedded kubelet, device nodes, a ledger in memory."""

import asyncio
import json
import os
import shutil
import stat
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.node import TESTS
from benchmarks.trees import Tree
from benchmarks.usage import resident
from nodeplug.testing import Kubelet
from support.packages import install

# Linux, Documentation/admin-guide/devices.txt: majors 60 to 63 are nobody's.
_MAJOR = 60
# The ledger is on a tmpfs, as on a real host.
_MEMORY = Path("/dev/shm")
_AWKWARD = "from support.awkward.backend import nodeplug_backend\n"
_LISTED_SECONDS = 60.0


class NotServedError(Exception):
    """An agent of one of the trees does not list its devices."""


class Contender:
    """An agent of a tree on a stand; it is not started yet."""

    def __init__(self, stand: "Stand", name: str, backend: str, section: object) -> None:
        self.name = name
        self._stand = stand
        self._backend = backend
        self._process: Process | None = None
        folder = stand.folder
        self._log = folder / f"{name}.log"
        self._config = folder / f"{name}.json"
        host = {"root": str(stand.host), "uevents": str(folder / f"{name}.uevents")}
        if stand.tree.knows_ledger:
            host["ledgerDir"] = str(stand.ledger)
        content = {
            "kubelet": {
                "devicePluginDir": str(stand.kubelet.directory),
                "podResourcesSocket": str(stand.pod_resources),
            },
            "host": host,
            "cdi": {"specDir": str(folder / "cdi")},
            "metrics": {"enabled": False},
            "backends": {backend: section},
        }
        self._config.write_text(json.dumps(content))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def memory(self) -> float:
        """Return its resident memory in MiB."""
        return resident([psutil.Process(self.pid)])

    async def start(self) -> None:
        """Start it; return at once."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nodeplug", "run", "--backend", self._backend),
                *("--config", str(self._config), "--installation", self.name),
                cwd=self._stand.folder,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                env=self._stand.environment(),
            )

    async def end(self) -> None:
        """Kill it: nothing of it is needed any more."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def last_words(self) -> str:
        """Return the end of its log."""
        return self._log.read_text()[-1000:].strip() if self._log.exists() else ""


class Stand:
    """One node; whatever is started on it ends with it."""

    def __init__(self, tree: Tree, folder: Path, ledger: Path) -> None:
        self.tree = tree
        self.folder = folder
        self.ledger = ledger
        self.host = folder / "host"
        self.pod_resources = folder / "pr.sock"
        self.agents: list[Contender] = []
        self._minor = 0
        self._site = folder / "site"
        for each in (self.host / "dev", folder / "dp"):
            each.mkdir(parents=True)
        self.kubelet = Kubelet(folder / "dp", pod_resources=self.pod_resources, host_root=self.host)

    def agent(self, name: str, backend: str, section: object) -> Contender:
        """Return a new agent."""
        self.agents.append(Contender(self, name, backend, section))
        return self.agents[-1]

    def custom(self, name: str, count: int) -> Contender:
        """Return an agent of `custom` for so many nodes /dev/<name>-<n>, each with its number."""
        for number in range(count):
            self.make_node(f"{name}-{number}")
        return self.agent(name, "custom", custom_section(name))

    def make_node(self, name: str, minor: int | None = None) -> int:
        """Make a character device that nobody has, or another node of one; return its minor."""
        if minor is None:
            minor, self._minor = self._minor, self._minor + 1
        os.mknod(self.host / "dev" / name, stat.S_IFCHR | 0o600, os.makedev(_MAJOR, minor))
        return minor

    def environment(self) -> Mapping[str, str]:
        """Return what agents see: the tree, and the backend that tests bring along."""
        if not self._site.exists():
            self._site.mkdir()
            install(self._site, "awkward", _AWKWARD)
        return self.tree.environment(self._site, self.tree.folder / TESTS.name)

    async def listed(self, resource: str, count: int) -> float:
        """Wait for so many allocatable devices; return when the last list of them came."""

        def holds() -> bool:
            capacity = self.kubelet.capacity(resource)
            return capacity is not None and capacity.allocatable == count

        try:
            await self.kubelet.until(holds, _LISTED_SECONDS)
        except TimeoutError as error:
            said = "\n".join(agent.last_words() for agent in self.agents)
            raise NotServedError(
                f"{self.tree.folder.name}: {resource} has no {count} devices\n{said}"
            ) from error
        return self.kubelet.journal.of("list", resource)[-1].at

    def socket(self, resource: str) -> str:
        """Return the address that was registered last."""
        request = self.kubelet.journal.of("register", resource)[-1].request
        assert request is not None
        return f"unix:{self.kubelet.directory / request.endpoint}"


@asynccontextmanager
async def open_stand(tree: Tree) -> AsyncGenerator[Stand, None]:
    """Set up a node with a running kubelet, and clear it and all its agents away."""
    folder = Path(tempfile.mkdtemp(prefix="npa", dir="/tmp"))
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else folder
    ledger = Path(tempfile.mkdtemp(prefix="npa", dir=memory))
    try:
        stand = Stand(tree, folder, ledger)
        async with stand.kubelet:
            try:
                yield stand
            finally:
                for agent in stand.agents:
                    await agent.end()
    finally:
        for each in (ledger, folder):
            shutil.rmtree(each, ignore_errors=True)


def resource_of(name: str) -> str:
    """Return the resource of an agent of `custom`."""
    return f"example.com/{name}"


def custom_section(*names: str) -> object:
    """Return a configuration with a resource for each of these names, of nodes /dev/<name>-*."""
    found = [{"name": resource_of(name), "devices": [{"path": f"/dev/{name}-*"}]} for name in names]
    return {"resources": found, "reconcileSeconds": 0}
