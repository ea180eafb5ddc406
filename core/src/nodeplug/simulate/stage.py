"""What a walk needs: a kubelet, the agent, each backend's simulated hardware, pods."""

import shutil
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nodeplug.backend import BackendSpec, Simulator
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import Kubelet

# Generous, for a busy laptop; figures are printed beside.
PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One simulated node."""

    kubelet: Kubelet
    agent: AgentProcess
    simulators: Mapping[str, Simulator]

    @property
    def resources(self) -> list[str]:
        """The resource of each backend, in the order of the backends."""
        return [simulator.resource for simulator in self.simulators.values()]

    def allocatable(self, resource: str) -> int:
        """Return how many devices the scheduler could give out; 0 before the first list."""
        capacity = self.kubelet.capacity(resource)
        return capacity.allocatable if capacity else 0

    async def all_listed(self) -> None:
        """Wait until every resource has devices to give out."""
        await self.kubelet.until(
            lambda: all(self.allocatable(resource) for resource in self.resources),
            PATIENCE_SECONDS,
        )


@asynccontextmanager
async def open_stage(specs: Mapping[str, BackendSpec]) -> AsyncGenerator[Stage, None]:
    """Set the stage up in a temporary folder, and clear it away."""
    # Socket paths are limited to 107 bytes, so the folder's own path must be short.
    folder = Path(tempfile.mkdtemp(prefix="nodeplug-", dir="/tmp"))
    try:
        host = folder / "host"
        host.mkdir()
        simulators = {name: spec.simulator(host) for name, spec in specs.items()}
        sections = {name: simulator.settings for name, simulator in simulators.items()}
        agent = AgentProcess(folder, sections)
        async with Kubelet(agent.plugin_dir, pod_resources=agent.pod_resources) as kubelet:
            try:
                yield Stage(kubelet, agent, simulators)
            finally:
                await agent.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
