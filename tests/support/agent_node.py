"""A node whose agent is a process of its own, with the awkward backend installed."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nodeplug.host.root import HostRoot
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet
from support.awkward.backend import AwkwardSimulator
from support.command import environment
from support.packages import install

AWKWARD = "from support.awkward.backend import nodeplug_backend\n"


class Node:
    def __init__(self, agent: AgentProcess, kubelet: Kubelet) -> None:
        self.agent = agent
        self.kubelet = kubelet
        self.host = HostRoot(agent.host_root)

    async def listed(self, resource: str, count: int) -> None:
        def holds() -> bool:
            capacity = self.kubelet.capacity(resource)
            return capacity is not None and capacity.allocatable == count

        await self.kubelet.until(holds)


@asynccontextmanager
async def node(
    monkeypatch: pytest.MonkeyPatch,
    sections: Mapping[str, Mapping[str, object]],
    before: Sequence[str] = (),
    **settings: object,
) -> AsyncGenerator[Node, None]:
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    (folder / "site").mkdir()
    install(folder / "site", "awkward", AWKWARD)
    monkeypatch.setenv("PYTHONPATH", environment(folder / "site")["PYTHONPATH"])
    agent = AgentProcess(folder, sections)
    agent.before = before
    agent.settings = {**agent.settings, **settings}
    agent.offer([])
    AwkwardSimulator(agent.host_root)
    (agent.host_root / "dev").mkdir()
    (agent.host_root / "dev/null").touch()
    try:
        async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
            await agent.start()
            yield Node(agent, kubelet)
            await agent.kill()
    finally:
        await agent.kill()
        shutil.rmtree(folder)
