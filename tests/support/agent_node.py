"""A node whose agent is a process of its own, with the awkward backend installed."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from pathlib import Path

import pytest

from kubelets.kinds import DEFAULT, AnyKubelet, Kind
from nodeplug.host.root import HostRoot
from nodeplug.simulate.agent_process import AgentProcess
from support.awkward.backend import AwkwardSimulator
from support.command import environment
from support.packages import install

AWKWARD = "from support.awkward.backend import nodeplug_backend\n"


class Node:
    def __init__(self, agent: AgentProcess, kubelet: AnyKubelet) -> None:
        self.agent = agent
        self.kubelet = kubelet
        self.host = HostRoot(agent.host_root)
        self.others: list[AgentProcess] = []

    async def another(
        self, sections: Mapping[str, Mapping[str, object]] | None = None, **settings: object
    ) -> AgentProcess:
        """Start one more agent; with sections or settings it has a file of its own."""
        agent = copy(self.agent)
        agent.sections = sections or agent.sections
        number = len(self.others) + 2
        agent.log = agent.log.with_name(f"agent-{number}.log")
        if settings or sections:
            agent.config = agent.config.with_name(f"nodeplug-{number}.yaml")
            agent.settings = {**agent.settings, **settings}
            agent.offer([])
        await agent.start()
        self.others.append(agent)
        return agent

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
    kind: Kind = DEFAULT,
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
        async with kind.make(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
            await agent.start()
            play = Node(agent, kubelet)
            try:
                yield play
            finally:
                for each in play.others:
                    await each.kill()
                await agent.kill()
    finally:
        await agent.kill()
        shutil.rmtree(folder)
