"""A node to measure on: embedded kubelet, the agent as a process, its host."""

import os
import shutil
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.usage import resident
from nodeplug.host.root import HostRoot
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet, Profile

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

from support.awkward.state import State, write_state  # noqa: E402
from support.packages import install  # noqa: E402

CUSTOM = "example.com/custom"
BOARD = "awkward.example.com/board"
EXTRA = "awkward.example.com/extra"


class Node:
    """One node; the agent is not started yet."""

    def __init__(
        self, folder: Path, sections: Mapping[str, Mapping[str, object]], profile: Profile
    ) -> None:
        self.agent = AgentProcess(folder, sections)
        self.host = HostRoot(self.agent.host_root)
        self.kubelet = Kubelet(
            self.agent.plugin_dir, profile=profile, pod_resources=self.agent.pod_resources
        )

    def set(self, **facts: object) -> None:
        write_state(self.host, State(**facts))  # type: ignore[arg-type]

    async def listed(self, resource: str, count: int, seconds: float = 30.0) -> float:
        """Wait for so many allocatable devices; return when the last list of them came."""

        def holds() -> bool:
            capacity = self.kubelet.capacity(resource)
            return capacity is not None and capacity.allocatable == count

        await self.kubelet.until(holds, seconds)
        return self.kubelet.journal.of("list", resource)[-1].at

    def sockets(self) -> list[str]:
        """Return the addresses of all servers of the agent."""
        home = self.agent.plugin_dir / ".nodeplug"
        return [f"unix:{path}" for path in sorted(home.glob("*/.*.sock"))]

    def memory(self) -> float:
        """Return the agent's resident memory in MiB."""
        return resident([psutil.Process(self.agent.pid)])


@asynccontextmanager
async def open_node(
    sections: Mapping[str, Mapping[str, object]],
    profile: Profile = Profile.V1_36,
) -> AsyncGenerator[Node, None]:
    """Set up a node with a running kubelet, and clear it away."""
    folder = Path(tempfile.mkdtemp(prefix="npb", dir="/tmp"))
    node = Node(folder, sections, profile)
    if "awkward" in sections:
        _install_awkward(folder / "site")
        node.set()
    (node.agent.host_root / "dev").mkdir()
    for number in range(4):
        (node.agent.host_root / f"dev/bench{number}").touch()
    try:
        async with node.kubelet:
            try:
                yield node
            finally:
                await node.agent.kill()
    finally:
        shutil.rmtree(folder)


def _install_awkward(site: Path) -> None:
    site.mkdir()
    install(site, "awkward", "from support.awkward.backend import nodeplug_backend\n")
    os.environ["PYTHONPATH"] = f"{site}:{TESTS}"


def custom_section() -> dict[str, Mapping[str, object]]:
    """Return the configuration of four devices that are plain files."""
    devices = [{"path": "/dev/bench*", "type": "file"}]
    return {"custom": {"resources": [{"name": CUSTOM, "devices": devices}]}}
