"""A backend's simulated hardware, served by an agent to an embedded kubelet."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.backend import BackendSpec, Simulator
from nodeplug.host.host import open_host
from nodeplug.offers import OfferRule
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.testing.kubelet.kubelet import Kubelet
from nodeplug.testing.kubelet.pods import ContainerRun, Pod


@dataclass(frozen=True, slots=True)
class ServedBackend:
    """What a scenario plays with; `resource` is the public name."""

    agent: Agent
    kubelet: Kubelet
    simulator: Simulator
    resource: str
    cdi_dir: Path

    async def listed(self, count: int | None = None) -> int:
        """Wait until so many devices, or any, can be allocated; return how many."""

        def holds() -> bool:
            found = self.kubelet.capacity(self.resource)
            return found is not None and (
                found.allocatable > 0 if count is None else found.allocatable == count
            )

        await self.kubelet.until(holds)
        found = self.kubelet.capacity(self.resource)
        return found.allocatable if found else 0

    async def admit(self, count: int) -> ContainerRun:
        """Admit a pod that asks for so many devices; return what its container gets."""
        return (await self.kubelet.admit(Pod.of({self.resource: count})))["c0"]

    def specified(self) -> set[str]:
        """Return all names that stand in CDI specifications."""
        specs = [json.loads(file.read_text()) for file in self.cdi_dir.glob("*.json")]
        return {f"{spec['kind']}={device['name']}" for spec in specs for device in spec["devices"]}


async def serve(
    spec: BackendSpec,
    rule: Mapping[str, Any],
    scenario: Callable[[ServedBackend], Awaitable[None]],
) -> None:
    """Serve the simulator's resource under an offer rule, and play a scenario."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    try:
        await _serve(spec, rule, scenario, folder)
    finally:
        shutil.rmtree(folder)


async def _serve(
    spec: BackendSpec,
    rule: Mapping[str, Any],
    scenario: Callable[[ServedBackend], Awaitable[None]],
    folder: Path,
) -> None:
    host, plugins, pod_resources = folder / "host", folder / "dp", folder / "pr.sock"
    host.mkdir()
    plugins.mkdir()
    simulator = spec.simulator(host)
    offer = msgspec.convert({"resource": simulator.resource, **rule}, OfferRule)
    settings = msgspec.convert(dict(simulator.settings), spec.settings)
    node = Node(plugins, pod_resources, Rules([offer]), folder / "cdi")
    agent = Agent(
        [ConfiguredBackend(spec, settings)], open_host(str(host), str(host / "uevents.sock")), node
    )
    kubelet = Kubelet(plugins, pod_resources=pod_resources, host_root=host, cdi_dir=folder / "cdi")
    async with kubelet:
        running = asyncio.create_task(agent.run())
        try:
            await scenario(
                ServedBackend(agent, kubelet, simulator, offer.public_name, folder / "cdi")
            )
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
