"""What may happen to a node: each step does the same on either side and says how it ended."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from kubelets.real import RealKubelet
from kubelets.walk.plugin import ListedDevice, Manners, WalkPlugin
from kubelets.walk.side import Side
from nodeplug.testing import AdmissionError, ContainerRun, Pod, StartError
from nodeplug.testing.kubelet.checkpoint import NAME
from nodeplug.testing.patience import patience

_SECONDS = 10


class Step(Protocol):
    """One thing that happens."""

    async def play(self, side: Side) -> Any:
        """Let it happen, wait until the kubelet has dealt with it, and return its outcome."""


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """A plugin starts with these devices and registers."""

    name: str
    resource: str
    manners: Manners
    devices: Sequence[ListedDevice]

    async def play(self, side: Side) -> str:
        plugin = WalkPlugin(self.name, self.resource, side.directory, side.calls)
        side.plugins[self.name] = plugin
        plugin.manners, plugin.devices = self.manners, self.devices
        await plugin.start()
        return await Register(self.name).play(side)


@dataclass(frozen=True, slots=True)
class Register:
    """A plugin that runs registers, perhaps with a version or a name of its own."""

    name: str
    version: str = "v1beta1"
    resource: str = ""

    async def play(self, side: Side) -> str:
        plugin = side.plugins[self.name]
        kind = "list" if plugin.manners.streams == "list" else "stream end"
        before = side.count(kind)
        refusal = await plugin.register(self.version, self.resource)
        if not refusal:
            await side.kubelet.until(lambda: side.count(kind) > before, _SECONDS)
        return refusal


@dataclass(frozen=True, slots=True)
class SendList:
    """A plugin sends a new list to whoever listens."""

    name: str
    devices: Sequence[ListedDevice]

    async def play(self, side: Side) -> None:
        plugin = side.plugins[self.name]
        arrived = side.lists + plugin.streams
        plugin.send(self.devices)
        await side.until_lists(arrived)


@dataclass(frozen=True, slots=True)
class EndStreams:
    """A plugin ends its streams in order, and goes on serving."""

    name: str

    async def play(self, side: Side) -> None:
        plugin, before = side.plugins[self.name], side.count("stream end")
        listeners = plugin.streams
        plugin.end_streams()
        await side.kubelet.until(lambda: side.count("stream end") >= before + listeners, _SECONDS)


@dataclass(frozen=True, slots=True)
class StopPlugin:
    """A plugin ends."""

    name: str

    async def play(self, side: Side) -> None:
        plugin, before = side.plugins[self.name], side.count("stream end")
        listeners = plugin.streams
        await plugin.stop()
        await side.kubelet.until(lambda: side.count("stream end") >= before + listeners, _SECONDS)


@dataclass(frozen=True, slots=True)
class Behave:
    """A plugin changes its manners."""

    name: str
    manners: Manners

    async def play(self, side: Side) -> None:
        side.plugins[self.name].manners = self.manners


@dataclass(frozen=True, slots=True)
class Admit:
    """A pod comes, or comes again to a kubelet that has started anew."""

    pod: Pod

    async def play(self, side: Side) -> str:
        try:
            await side.kubelet.admit(self.pod)
        except AdmissionError as error:
            return f"{error.reason}: {error}"
        return ""


@dataclass(frozen=True, slots=True)
class EndPod:
    """All containers of a pod end; its object stays."""

    pod: Pod

    async def play(self, side: Side) -> None:
        side.kubelet.terminate(self.pod)
        await side.obeyed()


@dataclass(frozen=True, slots=True)
class ForgetPod:
    """A pod's object is deleted, whatever its containers do."""

    pod: Pod

    async def play(self, side: Side) -> None:
        side.kubelet.forget(self.pod)
        await side.obeyed()


@dataclass(frozen=True, slots=True)
class StartContainer:
    """A container starts or starts again."""

    pod: Pod
    container: str

    async def play(self, side: Side) -> Any:
        try:
            run = await side.kubelet.start_container(self.pod, self.container)
        except StartError as error:
            return str(error)
        return _comparable(run)


@dataclass(frozen=True, slots=True)
class PodStatus:
    """The health of a pod's devices is worked out for its status."""

    pod: Pod

    async def play(self, side: Side) -> Any:
        kubelet = side.kubelet
        if isinstance(kubelet, RealKubelet):
            return await kubelet.pod_status(self.pod)
        return kubelet.pod_status(self.pod)


@dataclass(frozen=True, slots=True)
class AskPodResources:
    """Somebody asks pod resources; List frees what pods that are gone have (R47)."""

    what: Literal["List", "Get", "GetAllocatableResources"]
    pod: Pod | None = None

    async def play(self, side: Side) -> Any:
        if self.what == "List":
            return await side.pod_resources_list()
        if self.pod is not None:
            return await side.pod_resources_get(self.pod)
        return await side.allocatable()


@dataclass(frozen=True, slots=True)
class PassGrace:
    """More than five minutes go by (R28)."""

    async def play(self, side: Side) -> None:
        await side.kubelet.pass_grace()


@dataclass(frozen=True, slots=True)
class Restart:
    """The kubelet is killed and starts again; which containers run is what it finds."""

    checkpoint: Literal["stays", "is lost", "is broken"]
    running: frozenset[tuple[str, str]]
    ready: bool
    pods: Sequence[Pod]

    async def play(self, side: Side) -> None:
        await side.kubelet.stop()
        idle = [plugin.idle.wait() for plugin in side.plugins.values()]
        async with patience(_SECONDS):
            await asyncio.gather(*idle)
        if self.checkpoint == "is lost":
            (side.directory / NAME).unlink(missing_ok=True)
        elif self.checkpoint == "is broken":
            (side.directory / NAME).write_text('{"Data":')
        for pod in self.pods:
            side.forget(pod)
        await side.kubelet.start(running=self.running, ready=self.ready)


@dataclass(frozen=True, slots=True)
class BecomeReady:
    """The kubelet has heard from all sources which pods there are."""

    async def play(self, side: Side) -> None:
        await side.kubelet.become_ready()


def _comparable(run: ContainerRun) -> Any:
    return (
        run.envs,
        run.annotations,
        {path: str(mount) for path, mount in run.mounts.items()},
        {path: str(device) for path, device in run.devices.items()},
        sorted(run.cdi_devices),
    )
