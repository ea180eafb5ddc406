"""The NVIDIA GPU backend under an embedded kubelet, in one process."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.offers import OfferRule
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.testing import Kubelet, Pod
from nodeplug.testing.kubelet.pods import ContainerRun
from nodeplug_nvidia_gpu.plugin import SPEC
from support.nvml_host import GPU, NvmlHost, settings


class Play:
    def __init__(self, kubelet: Kubelet, agent: Agent) -> None:
        self.kubelet = kubelet
        self.agent = agent

    async def sick(self, *ids: str, of: int, resource: str = GPU) -> None:
        """Wait until so many devices are listed, and these of them are not healthy."""

        def holds() -> bool:
            listed = self.kubelet.devices(resource)
            found = {device for device, health in listed.items() if health != "Healthy"}
            return len(listed) == of and found == {*ids}

        await self.kubelet.until(holds)

    async def admit(self, count: int, resource: str = GPU) -> ContainerRun:
        return (await self.kubelet.admit(Pod.of({resource: count})))["c0"]

    def socket(self, resource: str = GPU) -> Path:
        request = self.kubelet.journal.of("register", resource)[-1].request
        assert request is not None
        return self.kubelet.directory / request.endpoint

    def last_list_at(self, resource: str = GPU) -> float:
        return self.kubelet.journal.of("list", resource)[-1].at


@asynccontextmanager
async def served(host: NvmlHost, *rules: Mapping[str, Any], **keys: Any) -> AsyncIterator[Play]:
    """Serve a host, entry to exit."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    (folder / "dp").mkdir()
    offers = Rules([msgspec.convert(rule, OfferRule) for rule in rules])
    node = Node(folder / "dp", folder / "pr.sock", offers, folder / "cdi")
    agent = Agent([ConfiguredBackend(SPEC, settings(**keys))], host.host, node)
    try:
        async with Kubelet(folder / "dp", pod_resources=folder / "pr.sock") as kubelet:
            running = asyncio.create_task(agent.run())
            try:
                yield Play(kubelet, agent)
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
    finally:
        shutil.rmtree(folder)
