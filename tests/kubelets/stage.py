"""A real kubelet, and plugins that answer as a test tells them."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from kubelets.kinds import REAL, Kind
from kubelets.plugin import FoundStreamPlugin, StreamPlugin
from kubelets.real import RealKubelet
from nodeplug.kubelet.api import podresources_v1_pb2 as pod_api
from nodeplug.kubelet.api import podresources_v1_pb2_grpc as pod_grpc
from nodeplug.testing import Container, Pod, Topology
from nodeplug.testing.kubelet.checkpoint import Checkpoint
from nodeplug.testing.kubelet.journal import Journal

A, B = "example.com/a", "example.com/b"
H, U = "Healthy", "Unhealthy"
# A kubelet's start leaves what is in sub-directories alone (R5).
KEPT = "kept"
CHECKPOINT = "kubelet_internal_checkpoint"
REGISTRY = "registry"


def since(kind: Kind, version: str) -> bool:
    """Whether a kubelet is of this version or a later one."""
    return _number(kind.version) >= _number(version)


def _number(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def from_version(version: str) -> pytest.MarkDecorator:
    """Run a test on each kubelet from this version on."""
    kinds = [kind for kind in REAL if since(kind, version)]
    return pytest.mark.parametrize("kind", kinds, ids=str)


each = from_version("0")


class Stage:
    def __init__(self, kubelet: RealKubelet, folder: Path) -> None:
        self.kubelet = kubelet
        self.folder = folder
        self.plugins: list[StreamPlugin] = []

    def plugin(self, resource: str = A, socket: str = f"{KEPT}/a.sock") -> StreamPlugin:
        """Return a plugin that is not started."""
        made = StreamPlugin(self.kubelet.directory, resource, socket)
        self.plugins.append(made)
        return made

    async def start(self, plugin: StreamPlugin, **healths: str) -> None:
        """Start a plugin with these devices and register it."""
        plugin.send(**healths)
        await plugin.start()
        await self.register(plugin)

    async def serve(
        self, resource: str = A, socket: str = f"{KEPT}/a.sock", **healths: str
    ) -> StreamPlugin:
        """Return a plugin that is registered with these devices."""
        plugin = self.plugin(resource, socket)
        await self.start(plugin, **healths)
        return plugin

    async def register(self, plugin: StreamPlugin) -> None:
        """Register a plugin and wait until its list is known."""
        seen = len(self.kubelet.journal.of("list", plugin.resource))
        await plugin.register()
        await self.listed(plugin.resource, seen)

    async def listed(self, resource: str, seen: int) -> None:
        """Wait for one more list than have been seen of a resource."""
        journal = self.kubelet.journal
        await self.kubelet.until(lambda: len(journal.of("list", resource)) > seen)
        await self.settle()

    async def settle(self) -> None:
        """Wait until all that has happened so far is known here."""
        await self.kubelet._ask("state")

    async def send(self, plugin: StreamPlugin, **healths: str) -> None:
        """Send a list on all streams of a plugin and wait until one is known."""
        seen = len(self.kubelet.journal.of("list", plugin.resource))
        plugin.send(**healths)
        await self.listed(plugin.resource, seen)

    async def reach(self, capacity: int, allocatable: int, resource: str = A) -> None:
        await self.kubelet.until(lambda: self.figures(resource) == (capacity, allocatable))

    def figures(self, resource: str = A) -> tuple[int, int] | None:
        found = self.kubelet.capacity(resource)
        return (found.capacity, found.allocatable) if found else None

    async def reboot(self) -> None:
        """Start the kubelet again with no container running and no pod known."""
        await self.kubelet.stop()
        await self.kubelet.start(ready=False)

    def written(self, pod: Pod) -> dict[str, set[str]]:
        """Return the ids that the checkpoint has for a pod, by resource."""
        found: dict[str, set[str]] = {}
        for entry in Checkpoint(self.kubelet.directory, Journal()).read(0).allocations:
            if entry.pod == pod.uid:
                found.setdefault(entry.resource, set()).update(entry.ids)
        return found

    def registered(self) -> dict[str, list[str]]:
        """Return the resources that the checkpoint has, with their healthy ids."""
        found = json.loads((self.kubelet.directory / CHECKPOINT).read_text())["Data"]
        return dict(found["RegisteredDevices"])

    async def pod_resources(self) -> dict[str, set[str]]:
        """Ask the pod resources service for the ids of each pod, by its name."""
        async with grpc.aio.insecure_channel(f"unix:{self.folder / 'pr.sock'}") as channel:
            stub = pod_grpc.PodResourcesListerStub(channel)
            reply = await stub.List(pod_api.ListPodResourcesRequest())
        return {
            pod.name: {i for c in pod.containers for d in c.devices for i in d.device_ids}
            for pod in reply.pod_resources
        }


@asynccontextmanager
async def stage(kind: Kind, topology: Topology | None = None) -> AsyncGenerator[Stage]:
    """Run a real kubelet in a folder of its own; it looks for plugins in a folder beside."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    (folder / "dp" / KEPT).mkdir(parents=True)
    (folder / REGISTRY).mkdir()
    made = kind.make(
        folder / "dp",
        pod_resources=folder / "pr.sock",
        plugin_registry=folder / REGISTRY,
        topology=topology,
    )
    assert isinstance(made, RealKubelet)
    try:
        async with made as kubelet:
            play = Stage(kubelet, folder)
            try:
                yield play
            finally:
                for plugin in play.plugins:
                    if plugin._server is not None:
                        await plugin.stop()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


def with_init(init: dict[str, int], app: dict[str, int]) -> Pod:
    """Return a pod of one ordinary init container and one app container."""
    return Pod((Container("first", init, init=True), Container("app", app)))


def hide(play: Stage, socket: str, resource: str = A, **healths: str) -> FoundStreamPlugin:
    """Return a plugin with these devices that the kubelet finds once it is started."""
    plugin = FoundStreamPlugin(play.folder / REGISTRY, resource, socket)
    play.plugins.append(plugin)
    plugin.send(**healths)
    return plugin


async def show(play: Stage, socket: str, resource: str = A, **healths: str) -> FoundStreamPlugin:
    """Show a plugin to the kubelet, and return it once it has been told what became of it."""
    plugin = hide(play, socket, resource, **healths)
    await plugin.start()
    await plugin.until_told()
    return plugin
