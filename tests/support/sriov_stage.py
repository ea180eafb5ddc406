"""The SR-IOV network backend under an embedded kubelet, in one process."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from nodeplug.offers import OfferRule
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.testing import Kubelet, Pod
from nodeplug.testing.kubelet.pods import ContainerRun
from nodeplug_sriov_net.plugin import SPEC
from nodeplug_sriov_net.settings import SriovNetSettings
from support.sriov_host import POOL, FakeHost


class Play:
    def __init__(self, kubelet: Kubelet, fake: FakeHost, cdi_dir: Path) -> None:
        self.kubelet = kubelet
        self.fake = fake
        self.cdi_dir = cdi_dir

    async def healthy(self, *ids: str, resource: str = POOL) -> None:
        """Wait until exactly these devices can be allocated."""
        await self.kubelet.until(
            lambda: (
                self.kubelet.capacity(resource) is not None and self._healthy(resource) == {*ids}
            )
        )

    async def admit(self, resource: str, count: int) -> ContainerRun:
        """Start a pod that asks for devices; return what its container gets."""
        return (await self.kubelet.admit(Pod.of({resource: count})))["c0"]

    def specified(self) -> set[str]:
        """Return all names in CDI specifications."""
        specs = [json.loads(file.read_text()) for file in self.cdi_dir.glob("*.json")]
        return {f"{spec['kind']}={device['name']}" for spec in specs for device in spec["devices"]}

    def _healthy(self, resource: str) -> set[str]:
        found = self.kubelet.devices(resource)
        return {device for device, health in found.items() if health == "Healthy"}


@asynccontextmanager
async def served(
    fake: FakeHost, wanted: SriovNetSettings, *rules: OfferRule
) -> AsyncIterator[Play]:
    """Serve a fake host, entry to exit, under offer rules."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    (folder / "dp").mkdir()
    node = Node(folder / "dp", folder / "pr.sock", Rules([*rules]), folder / "cdi")
    agent = Agent([ConfiguredBackend(SPEC, wanted)], fake.host, node)
    try:
        async with Kubelet(folder / "dp", pod_resources=folder / "pr.sock") as kubelet:
            running = asyncio.create_task(agent.run())
            try:
                yield Play(kubelet, fake, folder / "cdi")
            finally:
                running.cancel()
                with suppress(asyncio.CancelledError):
                    await running
    finally:
        shutil.rmtree(folder)
