"""The embedded kubelet: start, stop, node status, pods."""

import asyncio
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Self

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.kubelet.admission import Admission
from nodeplug.testing.kubelet.cgroups import Cgroups
from nodeplug.testing.kubelet.checkpoint import Checkpoint
from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.clock import Clock
from nodeplug.testing.kubelet.devices import GRACE_SECONDS, Capacity, DeviceTables
from nodeplug.testing.kubelet.double_use import Physical, find_double_use, without_replica
from nodeplug.testing.kubelet.errors import AdmissionError, StartError
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.known_pods import KnownPods
from nodeplug.testing.kubelet.node import NodeStatus
from nodeplug.testing.kubelet.order import Order
from nodeplug.testing.kubelet.plugin_manager import PluginManager
from nodeplug.testing.kubelet.pod_status import PodHealth, health_of, pods_to_sync
from nodeplug.testing.kubelet.pods import Container, ContainerRun, Pod
from nodeplug.testing.kubelet.registry import Registry
from nodeplug.testing.kubelet.servers import Servers
from nodeplug.testing.kubelet.sight import MADE_FOR_MANY, Eye
from nodeplug.testing.kubelet.sockets import clean
from nodeplug.testing.kubelet.starting import announce
from nodeplug.testing.kubelet.topology import Topology
from nodeplug.testing.kubelet.witness import Witness
from nodeplug.testing.patience import patience

SOCKET = "kubelet.sock"


class ViolationError(AssertionError):
    """The plugin did what would crash a kubelet or give a device away twice."""


class Kubelet:
    """A kubelet's device manager on real sockets in a directory.

    With `plugin_registry` it looks for plugins in that directory, too, and dials what it finds.

    `async with Kubelet(directory) as kubelet` starts it and at the end stops it; violations that
    the test has not cleared from `journal.violations` are raised then. `stop` is the death of the
    process: the socket stays as a dead file (R6). Pods outlive it, and what they have is read from
    the checkpoint in the directory, by this kubelet or by a new one there (`readmit`).

    Whether two live containers got the same hardware is judged by looking at what their answers
    name, below `host_root` or on this machine, and in the specifications in `cdi_dir`; paths like
    those in `made_for_many` are nobody's own. Below `host_root` pods have control groups, too.

    Two attributes may be set at any time. `physical` tells which device is behind a resource's
    id; as it stands that is the id without "::<n>". `order` is how maps are gone through; with
    `Order(seed)` they are mixed, as a real kubelet's are: resources of a container, ids where
    any will do, responses to merge (R41, R60).
    """

    def __init__(  # noqa: PLR0913 - all but the first are options
        self,
        directory: Path,
        *,
        pod_resources: Path | None = None,
        plugin_registry: Path | None = None,
        profile: Profile = Profile.V1_36,
        clock: Clock | None = None,
        topology: Topology | None = None,
        host_root: Path | None = None,
        cdi_dir: Path | None = None,
        made_for_many: Collection[str] = MADE_FOR_MANY,
    ) -> None:
        self.directory = directory
        self.journal = Journal()
        self.clock = clock or Clock()
        self._pod_resources = pod_resources
        self._plugin_registry = plugin_registry
        self._profile = profile
        self.topology = topology or Topology()
        self.physical: Physical = without_replica
        self.order = Order()
        self._checkpoint = Checkpoint(directory, self.journal)
        self._tables = DeviceTables()
        self._pods = KnownPods()
        self._running: AbstractSet[tuple[str, str]] = frozenset()
        self._node = NodeStatus()
        self._syncing: asyncio.Task[None] | None = None
        self._admitting = asyncio.Lock()
        self._registry: Registry | None = None
        self._manager: PluginManager | None = None
        self._servers = Servers()
        self._witness = Witness(Eye(host_root, cdi_dir, made_for_many))
        self._cgroups = Cgroups(host_root)

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

    async def start(
        self, *, running: AbstractSet[tuple[str, str]] = frozenset(), ready: bool = True
    ) -> None:
        """Start: read the checkpoint, clean the directory, bind, serve (R4).

        `running` names the containers that it finds running, by pod's uid and name. Until it is
        `ready` it does not know yet which pods there are (R44, R47). Raises OSError where the
        directory cannot be made or cleaned.
        """
        self._running = running
        self._pods.begin(ready=ready)
        self._node.enrol(self.directory)
        self._tables = self._checkpoint.read(self.clock.now())
        clean(self.directory)
        self._registry = Registry(
            self.directory, self._profile, self.clock, self._tables, self.journal
        )
        self._registry.on_change = self._changed
        try:
            await self._serve(self._registry)
            if self._plugin_registry is not None:
                self._manager = PluginManager(
                    self._plugin_registry, self._registry, self.clock, self._profile
                )
                self._manager.start()
            self._syncing = asyncio.create_task(self._node.keep_written(self.clock, self._sync))
        except BaseException:
            await self.stop()
            raise

    async def stop(self, *, unlink: bool = False) -> None:
        """Die; with `unlink`, take the socket file along, as a graceful stop would."""
        if unlink:
            (self.directory / SOCKET).unlink(missing_ok=True)
        await self._servers.stop()
        manager, self._manager = self._manager, None
        if manager is not None:
            await manager.stop()
        registry, self._registry = self._registry, None
        if registry is not None:
            await registry.close()
        await self._stop_syncing()

    async def restart(self, running: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        """Die and start again, then admit all pods anew at once (R52); return those rejected."""
        await self.stop()
        await self.start(ready=False)
        return await self.readmit(running=running)

    async def readmit(self, *pods: Pod, running: bool) -> list[str]:
        """Admit all pods again, containers running or not; return the names of those rejected.

        `pods` are those that only an earlier kubelet in this directory knew. The kubelet is not
        ready before all are admitted.
        """
        rejected = []
        self._pods.ready = False
        bound = list({pod.uid: pod for pod in (*self.active_pods, *pods)}.values())
        if running:
            self._running = {(pod.uid, c.name) for pod in bound for c in pod.staying}
        else:
            self.end_containers(*bound)
        for pod in bound:
            self._pods.add(pod)
            try:
                await self._admit(pod)
            except AdmissionError:
                rejected.append(pod.name)
            else:
                self._cgroups.begin(pod.uid)
        self._detect_double_use()
        await self.become_ready()
        return rejected

    async def become_ready(self) -> None:
        """Know all pods from now on (R47)."""
        self._pods.ready = True

    def capacity(self, resource: str) -> Capacity | None:
        """Return what the node status says; None for a resource never seen (R19, R28).

        The status is brought up to date first, as if its ten seconds had just gone by (R27);
        while the kubelet is down it stands as it is.
        """
        if self._registry is not None:
            self._report()
        return self._node.now.get(resource)

    def node_status(self, resource: str) -> Capacity | None:
        """Return what the scheduler knows: the status is written every ten seconds (R27)."""
        return self._node.written.get(resource)

    def devices(self, resource: str) -> dict[str, str]:
        """Return the listed ids of a resource with their health."""
        return {i: d.health for i, d in self._tables.devices.get(resource, {}).items()}

    def table(self, resource: str) -> list[api.Device]:
        """Return the listed devices of a resource as they came."""
        return list(self._tables.devices.get(resource, {}).values())

    def options(self, resource: str) -> api.DevicePluginOptions:
        """Return the options that the plugin gave when it was asked (R17)."""
        return self._tables.endpoints[resource].options

    @property
    def dialling(self) -> bool:
        """Whether a plugin that has called is being connected to (R12)."""
        return self._registry is not None and self._registry.busy

    async def connect(self, resource: str, socket: Path) -> None:
        """Connect to a plugin that runs, as if it had registered; raise Refusal."""
        assert self._registry is not None
        await self._registry.connect_found(resource, str(socket), socket)

    def refuse(self, *texts: str) -> None:
        """Refuse the next registrations, with these texts."""
        assert self._registry is not None
        self._registry.refusals.extend(texts)

    def pod_status(self, pod: Pod) -> PodHealth:
        """Return the health of a pod's devices as its status shows it (R69).

        That is "Healthy" or "Unhealthy" by app container, resource and id. The journal has a
        "pod sync" whenever a list makes the kubelet look at it anew (R70).
        """
        return health_of(pod, self._tables)

    async def drop_streams(self, resource: str) -> None:
        """Break the ListAndWatch streams of a resource while the kubelet lives on."""
        assert self._registry is not None
        await self._registry.drop(resource)

    async def pass_grace(self) -> None:
        """Let more than five minutes have gone by since plugins were lost (R28)."""
        self.clock.advance(GRACE_SECONDS + 1)
        self._report()

    async def until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Return as soon as the condition holds; it is looked at after every event.

        After so many seconds, or more on a busy machine, raise TimeoutError.
        """
        await self.journal.until(holds, seconds, patience)

    async def admit(self, pod: Pod) -> dict[str, ContainerRun]:
        """Admit a pod and return what its containers get; raise AdmissionError (R40 to R52)."""
        self._pods.add(pod)
        await self._admit(pod)
        self._cgroups.begin(pod.uid)
        self._detect_double_use()
        return {c.name: self.run_options(pod, c.name) for c in pod.containers}

    def run_options(self, pod: Pod, container: str) -> ContainerRun:
        """Return what a container gets at a start or restart: the stored responses (R45, R60)."""
        run = ContainerRun()
        for allocation in self.order.of(self._tables.of_container(pod.uid, container)):
            run.add(allocation.response)
        return run

    async def start_container(self, pod: Pod, container: str) -> ContainerRun:
        """Do what precedes a container's start and return what it gets (R45, R55).

        What the kubelet should have given it but knows nothing of is allocated now, unless the
        pod is leaving. Raises StartError if the container must not start.
        """
        self._report()
        (spec,) = (each for each in pod.containers if each.name == container)
        managed = (resource for resource in spec.limits if self._tables.manages(resource))
        wanted = [resource for resource in self.order.of(managed) if spec.limits[resource]]
        await announce(self._tables, pod.uid, container, wanted, self.clock)
        lost = [r for r in wanted if self._tables.find(pod.uid, container, r) is None]
        if lost and pod in self._pods.active:
            await self._allocate_anew(pod, spec)
        return self.run_options(pod, container)

    def terminate(self, pod: Pod) -> None:
        """Let a pod's containers end; its devices are freed later (R47)."""
        self._pods.end(pod)
        self.end_containers(pod)

    def forget(self, pod: Pod) -> None:
        """Delete a pod's object by force: whatever its containers do, it is not active.

        They live until `end_containers`.
        """
        self._pods.forget(pod)
        self._witness.forget(pod.uid)

    def end_containers(self, *pods: Pod) -> None:
        """Let the containers of pods end, whatever the kubelet knows of them."""
        uids = {pod.uid for pod in pods}
        self._witness.end(uids)
        self._cgroups.end(uids)

    async def lose_power(self) -> None:
        """Die with all containers of the node; `start` is the next boot."""
        await self.stop()
        self._witness.end()
        self._cgroups.end()

    async def remove(self, pod: Pod) -> None:
        """Delete a pod and free its devices at once, as the next admission would.

        As then, the checkpoint tells of it only when it is next written.
        """
        self.forget(pod)
        self.end_containers(pod)
        self._pods.free(self._tables)

    @property
    def active_pods(self) -> list[Pod]:
        """The pods that are admitted and have not ended."""
        return self._pods.bound

    def held(self, resource: str) -> AbstractSet[str]:
        """Return the ids of a resource that are in use."""
        return frozenset(self._tables.in_use.get(resource, ()))

    async def _serve(self, registry: Registry) -> None:
        await self._servers.serve_registration(self.directory / SOCKET, registry, self.journal)
        if self._pod_resources is not None:
            await self._servers.serve_pod_resources(
                self._pod_resources, self._tables, self._pods, self.clock, self._profile
            )

    def _admission(self) -> Admission:
        return Admission(
            self._tables,
            self._pods,
            self._checkpoint,
            self.journal,
            self.topology,
            self.order,
            self._running,
            self._profile,
        )

    async def _admit(self, pod: Pod) -> None:
        async with self._admitting:
            self._report()
            try:
                await self._admission().admit(pod)
            except AdmissionError as error:
                self._reject(pod, error)
                raise
            finally:
                self.journal.wake()

    def _reject(self, pod: Pod, error: AdmissionError) -> None:
        self.journal.note("reject", "", f"{pod.name}: {error}")
        self.terminate(pod)

    async def _stop_syncing(self) -> None:
        syncing, self._syncing = self._syncing, None
        if syncing is not None:
            syncing.cancel()
            await asyncio.wait([syncing])
            if not syncing.cancelled():
                syncing.result()

    async def _allocate_anew(self, pod: Pod, container: Container) -> None:
        try:
            async with self._admitting:
                await self._admission().provide(pod, container)
        except AdmissionError as error:
            raise StartError(str(error)) from error
        self._detect_double_use()

    def _report(self) -> None:
        # R28: whoever asks for capacities makes the kubelet forget what has been gone too long,
        # and the node keeps its zero.
        if removed := self._tables.expire(self.clock.now()):
            self._checkpoint.write(self._tables)
        self._node.update(self._tables.capacities(), removed)

    def _sync(self) -> None:
        self._report()
        if self._node.write():
            self.journal.wake()

    def _changed(self) -> None:
        for uid in pods_to_sync(self._tables, self.order, self._profile):
            pod = self._pods.by_uid.get(uid)
            self.journal.note("pod sync", "", f"{pod.namespace}/{pod.name}" if pod else uid)
        self._checkpoint.write(self._tables)
        self.journal.wake()

    def _detect_double_use(self) -> None:
        for text in find_double_use(self._tables.allocations, self.physical):
            self.journal.violate("R23", text)
        live = {pod.uid for pod in self._pods.bound}
        for text in self._witness.see(self._tables.allocations, live):
            self.journal.violate("R23", text)
