"""The embedded kubelet: start, stop, node status, pods."""

import asyncio
import stat
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc.aio

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2_grpc as api_grpc
from nodeplug.kubelet.api import podresources_v1_pb2_grpc as pod_grpc
from nodeplug.testing.kubelet.admission import Admission, AdmissionError
from nodeplug.testing.kubelet.checkpoint import write_checkpoint
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import Capacity, DeviceTables
from nodeplug.testing.kubelet.endpoint import StoppedError
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.podresources import PodResources, put_in_place
from nodeplug.testing.kubelet.pods import ContainerRun, Pod
from nodeplug.testing.kubelet.registry import Profile, Registry
from nodeplug.testing.kubelet.topology import Topology

SOCKET = "kubelet.sock"
# R55: what a plugin has for PreStartContainer.
PRE_START_SECONDS = 30.0


class ViolationError(AssertionError):
    """The plugin did what would crash a kubelet or give a device away twice."""


class Kubelet:
    """A kubelet's device manager on real sockets in a directory.

    `async with Kubelet(directory) as kubelet` starts it and at the end stops it; violations that
    the test has not cleared from `journal.violations` are raised then. `stop` is the death of the
    process: the socket stays as a dead file (R6). Pods and their allocations outlive it.
    """

    def __init__(
        self,
        directory: Path,
        *,
        pod_resources: Path | None = None,
        profile: Profile = Profile.V1_36,
        clock: Clock | None = None,
        topology: Topology | None = None,
    ) -> None:
        self.directory = directory
        self.journal = Journal()
        self.clock = clock or Clock()
        self._pod_resources = pod_resources
        self._profile = profile
        self._topology = topology or Topology()
        self._tables = DeviceTables()
        self._pods: dict[str, Pod] = {}
        self._dead: set[str] = set()
        self._reported: dict[str, Capacity] = {}
        self._admitting = asyncio.Lock()
        self._registry: Registry | None = None
        self._servers: list[grpc.aio.Server] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.stop()
        if self.journal.violations and error is None:
            raise ViolationError("\n".join(v.text for v in self.journal.violations))

    async def start(self) -> None:
        """Start: read the checkpoint, clean the directory, bind, serve (R4)."""
        self._tables = self._tables.after_restart(self.clock.now())
        self._clean()
        self._registry = Registry(
            self.directory, self._profile, self.clock, self._tables, self.journal
        )
        self._registry.on_change = self._changed
        server = grpc.aio.server()
        api_grpc.add_RegistrationServicer_to_server(self._registry, server)  # type: ignore[arg-type]
        self.journal.note("start", "")
        server.add_insecure_port(f"unix:{self.directory / SOCKET}")
        await server.start()
        self._servers = [server]
        if self._pod_resources is not None:
            self._servers.append(await self._serve_pod_resources(self._pod_resources))

    async def stop(self, *, unlink: bool = False) -> None:
        """Die; with `unlink`, take the socket file along, as a graceful stop would."""
        socket = self.directory / SOCKET
        keep = self.directory / ".kubelet.sock.kept"
        if not unlink and socket.exists():
            keep.unlink(missing_ok=True)
            keep.hardlink_to(socket)
        servers, self._servers = self._servers, []
        for server in servers:
            await server.stop(grace=None)
        if self._registry is not None:
            await self._registry.close()
            self._registry = None
        if keep.exists():
            keep.rename(socket)

    async def restart(self, running: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        """Die and start again, then admit all pods anew at once (R52); return those rejected."""
        await self.stop()
        await self.start()
        return await self.readmit(running=running)

    async def readmit(self, *, running: bool) -> list[str]:
        """Admit all pods again, containers running or not; return the names of those rejected."""
        rejected = []
        for pod in list(self._pods.values()):
            alive = {c.name for c in pod.containers if c.sidecar or not c.init}
            try:
                await self._admission().admit(pod, alive if running else frozenset())
            except AdmissionError:
                rejected.append(pod.name)
                self.terminate(pod)
        return rejected

    def capacity(self, resource: str) -> Capacity | None:
        """Return what the node status says; None for a resource never seen (R19, R28)."""
        found = self._tables.capacity(resource, self.clock.now())
        if found is None and resource in self._reported:
            found = Capacity(0, 0)
        if found is not None:
            self._reported[resource] = found
        return found

    def devices(self, resource: str) -> dict[str, str]:
        """Return the listed ids of a resource with their health."""
        return {i: d.health for i, d in self._tables.devices.get(resource, {}).items()}

    def table(self, resource: str) -> list[api.Device]:
        """Return the listed devices of a resource as they came."""
        return list(self._tables.devices.get(resource, {}).values())

    def options(self, resource: str) -> api.DevicePluginOptions:
        """Return the options that the plugin gave when it was asked (R17)."""
        return self._tables.endpoints[resource].options

    async def drop_streams(self, resource: str) -> None:
        """Break the ListAndWatch streams of a resource while the kubelet lives on."""
        assert self._registry is not None
        await self._registry.drop(resource)

    async def until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Return as soon as the condition holds; it is looked at after every event."""
        await self.journal.until(holds, seconds)

    async def admit(self, pod: Pod) -> dict[str, ContainerRun]:
        """Admit a pod and return what its containers get; raise AdmissionError (R40 to R52)."""
        async with self._admitting:
            self._free()
            self._pods[pod.name] = pod
            try:
                await self._admission().admit(pod)
            except AdmissionError:
                self.terminate(pod)
                raise
            self._changed()
            self._detect_double_use()
            return {c.name: self.run_options(pod, c.name) for c in pod.containers}

    def run_options(self, pod: Pod, container: str) -> ContainerRun:
        """Return what a container gets at a start or restart: the stored responses (R45, R60)."""
        run = ContainerRun()
        for allocation in self._tables.allocations:
            if (allocation.pod, allocation.container) == (pod.name, container):
                run.add(allocation.response)
        return run

    async def start_container(self, pod: Pod, container: str) -> None:
        """Do what precedes a container's start (R55); raise AdmissionError if it must not start."""
        for allocation in self._tables.allocations:
            if (allocation.pod, allocation.container) != (pod.name, container):
                continue
            endpoint = self._tables.endpoints.get(allocation.resource)
            if endpoint is None:
                raise AdmissionError(f"endpoint {allocation.resource} not found in cache")
            if not endpoint.options.pre_start_required:
                continue
            request = api.PreStartContainerRequest(devices_ids=allocation.ids)
            try:
                seconds = PRE_START_SECONDS / self.clock.scale
                await endpoint.stub.PreStartContainer(request, timeout=seconds)
            except (grpc.aio.AioRpcError, StoppedError) as error:
                raise AdmissionError(f"PreStartContainer failed: {error}") from error

    def terminate(self, pod: Pod) -> None:
        """Let a pod's containers end; its devices are freed later (R47)."""
        self._dead.add(pod.name)

    async def remove(self, pod: Pod) -> None:
        """End a pod and free its devices at once, as the next admission would."""
        self.terminate(pod)
        self._free()

    @property
    def active_pods(self) -> list[Pod]:
        """The pods that are admitted and have not ended."""
        return [pod for name, pod in self._pods.items() if name not in self._dead]

    def held(self, resource: str) -> AbstractSet[str]:
        """Return the ids of a resource that are in use."""
        return frozenset(self._tables.in_use.get(resource, ()))

    def _admission(self) -> Admission:
        return Admission(self._tables, self.journal, self._topology)

    def _free(self) -> None:
        for name in self._dead:
            self._pods.pop(name, None)
        self._tables.allocations = [a for a in self._tables.allocations if a.pod not in self._dead]
        self._dead.clear()
        self._tables.recompute_in_use()

    def _changed(self) -> None:
        write_checkpoint(self.directory, self._tables)
        self.journal.wake()

    def _detect_double_use(self) -> None:
        users: dict[str, set[str]] = {}
        for allocation in self._tables.allocations:
            for device_id in allocation.ids:
                physical = device_id.partition("::")[0]
                users.setdefault(physical, set()).add(allocation.resource)
        for device_id, resources in users.items():
            if len(resources) > 1:
                self.journal.violate(
                    "R33", f"device {device_id} is allocated as each of {sorted(resources)}"
                )

    def _clean(self) -> None:
        # R5: whatever leads to a socket goes, whether or not anyone serves on it.
        self.directory.mkdir(mode=0o755, exist_ok=True)
        for entry in self.directory.iterdir():
            try:
                if stat.S_ISSOCK(entry.stat().st_mode):
                    entry.unlink()
            except FileNotFoundError:
                continue

    async def _serve_pod_resources(self, path: Path) -> grpc.aio.Server:
        service = PodResources(self._tables, lambda: self.active_pods, self._free, self.clock)
        server = grpc.aio.server()
        pod_grpc.add_PodResourcesListerServicer_to_server(service, server)  # type: ignore[arg-type]
        temporary = path.with_name(f".{path.name}.tmp")
        server.add_insecure_port(f"unix:{temporary}")
        await server.start()
        put_in_place(temporary, path)
        return server
