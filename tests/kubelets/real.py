"""A real kubelet's device manager, driven like the embedded kubelet."""

from collections.abc import Callable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kubelets.process import CommandError, KubeletProcess, Message, State
from kubelets.versions import binary
from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import (
    AdmissionError,
    AffinityError,
    Capacity,
    ContainerRun,
    Pod,
    StartError,
    Topology,
    ViolationError,
)
from nodeplug.testing.kubelet.checkpoint import Checkpoint
from nodeplug.testing.kubelet.devices import Allocation
from nodeplug.testing.kubelet.double_use import Physical, find_double_use, without_replica
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.pod_status import PodHealth
from nodeplug.testing.patience import patience

_PREFIX, _SUFFIX = "Allocate failed due to ", ", which is unexpected"


class RealKubelet:
    """The device manager, Topology Manager, plugin manager and pod resources of one version.

    What tests do with `nodeplug.testing.Kubelet` they can do with this one. What it knows is told
    by the process after everything that happens there, so it may be read at any time.
    """

    def __init__(
        self,
        directory: Path,
        *,
        version: str,
        pod_resources: Path | None = None,
        plugin_registry: Path | None = None,
        topology: Topology | None = None,
    ) -> None:
        self.directory = directory
        self.version = version
        self.journal = Journal()
        self.physical: Physical = without_replica
        self._pod_resources = pod_resources
        self._plugin_registry = plugin_registry
        self.topology = topology or Topology()
        self._pods: dict[str, Pod] = {}
        self._ended: set[str] = set()
        self._state = State()
        self._behind = False
        self._process: KubeletProcess | None = None
        self._log = LogReader(self.journal)

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
        """Start a new process: read the checkpoint, clean the directory, bind, serve (R4).

        `running` names the containers that it finds running, by pod's uid and name. Until it is
        `ready` it does not know yet which pods there are (R44, R47).
        """
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._process = KubeletProcess(binary(self.version), self.directory, self._heard)
        await self._process.start()
        self.journal.note("start", "")
        try:
            await self._ask(
                "start",
                start={
                    "ready": ready,
                    "running": [{"uid": uid, "container": name} for uid, name in running],
                    "policy": self.topology.policy,
                    "numaNodes": self.topology.nodes,
                    "podResources": str(self._pod_resources or ""),
                    "pluginRegistry": str(self._plugin_registry or ""),
                    "node": self._state.node,
                    "known": [_spec(pod) for pod in self._pods.values()],
                },
            )
        except BaseException:
            await self.stop()
            raise

    async def stop(self, *, unlink: bool = False) -> None:
        """Kill the process; with `unlink`, let its device manager stop in order before (R6)."""
        process, self._process = self._process, None
        if process is not None:
            if unlink:
                await process.ask("stop")
            await process.kill()
            self._behind = False

    async def restart(self, running: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        """Die and start again, then admit all pods anew at once (R52); return those rejected."""
        await self.stop()
        found = {(pod.uid, c.name) for pod in self.active_pods for c in pod.staying}
        await self.start(running=found if running else frozenset(), ready=False)
        return await self.readmit(running=running)

    async def readmit(self, *pods: Pod, running: bool) -> list[str]:  # noqa: ARG002 - said at start
        """Admit all pods again, and be ready afterwards; return the names of those rejected."""
        rejected = []
        self._pods.update({pod.uid: pod for pod in pods})
        for pod in self.active_pods:
            try:
                await self._admit(pod)
            except AdmissionError:
                rejected.append(pod.name)
        await self.become_ready()
        return rejected

    def capacity(self, resource: str) -> Capacity | None:
        """Return what the node status says; None for a resource never seen (R19, R28)."""
        found = self._state.node.get(resource)
        return None if found is None else Capacity(*found)

    def devices(self, resource: str) -> dict[str, str]:
        """Return the listed ids of a resource with their health."""
        return {i: d.health for i, d in self._state.listed.get(resource, {}).items()}

    def table(self, resource: str) -> list[api.Device]:
        """Return the listed devices of a resource."""
        found = []
        for device_id, listed in self._state.listed.get(resource, {}).items():
            device = api.Device(ID=device_id, health=listed.health)
            if listed.topology:
                device.topology.nodes.extend(api.NUMANode(ID=node) for node in listed.nodes)
                device.topology.SetInParent()
            found.append(device)
        return found

    async def pod_status(self, pod: Pod) -> PodHealth:
        """Return the health of a pod's devices as its status shows it (R69)."""
        found: PodHealth = await self._ask("podStatus", uid=pod.uid)
        return found

    async def drop_streams(self, resource: str) -> None:
        """Break the connection to a resource's plugin while the kubelet lives on."""
        await self._ask("drop", resource=resource, endpoint=self._log.sockets.get(resource, ""))

    async def pass_grace(self, seconds: int = 301) -> None:
        """Let so many seconds more have gone by since plugins were lost (R28)."""
        await self._ask("age", seconds=seconds)

    async def until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Return as soon as the condition holds; it is looked at after every event."""
        await self.journal.until(holds, seconds, patience)

    async def admit(self, pod: Pod) -> dict[str, ContainerRun]:
        """Admit a pod and return the answers stored for its containers; raise AdmissionError."""
        self._pods[pod.uid] = pod
        await self._admit(pod)
        for text in find_double_use(self._allocations(), self.physical):
            self.journal.violate("R23", text)
        return {c.name: self.run_options(pod, c.name) for c in pod.containers}

    def run_options(self, pod: Pod, container: str) -> ContainerRun:
        """Return what a container gets, from the answers in the checkpoint (R45, R66)."""
        run = ContainerRun()
        for allocation in Checkpoint(self.directory, self.journal).read(0).allocations:
            if (allocation.pod, allocation.container) == (pod.uid, container):
                run.add(allocation.response)
        return run

    async def start_container(self, pod: Pod, container: str) -> ContainerRun:
        """Do what precedes a container's start and return what it gets (R45, R55)."""
        try:
            answer = await self._ask("startContainer", uid=pod.uid, container=container)
        except CommandError as error:
            raise StartError(str(error)) from error
        return _run(answer or {})

    async def become_ready(self) -> None:
        """Know all pods from now on (R47)."""
        await self._ask("ready", ready=True)

    def terminate(self, pod: Pod) -> None:
        """Let a pod's containers end; its devices are freed later (R47)."""
        assert self._process is not None
        self._ended.add(pod.uid)
        self._process.send("end", uid=pod.uid)

    async def remove(self, pod: Pod) -> None:
        """End a pod and free its devices at once, as the next admission would."""
        self.forget(pod)
        await self._ask("collect")

    def forget(self, pod: Pod) -> None:
        """Delete a pod's object by force: whatever its containers do, it is not active."""
        assert self._process is not None
        self._ended.add(pod.uid)
        self._process.send("remove", uid=pod.uid)

    async def look(self) -> None:
        """Wait until it has done what it was told, and says what it knows."""
        await self._ask("state")

    @property
    def active_pods(self) -> list[Pod]:
        """The pods that are admitted and have not ended."""
        return [pod for uid, pod in self._pods.items() if uid not in self._ended]

    def held(self, resource: str) -> AbstractSet[str]:
        """Return the ids of a resource that are in use."""
        return frozenset(self._state.in_use.get(resource, ()))

    async def _admit(self, pod: Pod) -> None:
        answer = await self._ask("admit", pod=_spec(pod))
        if answer["admit"]:
            return
        self._ended.add(pod.uid)
        message: str = answer["message"]
        if answer["reason"] == AffinityError.reason:
            error: AdmissionError = AffinityError(message)
        else:
            error = AdmissionError(message.removeprefix(_PREFIX).removesuffix(_SUFFIX))
        self.journal.note("reject", "", f"{pod.name}: {error}")
        raise error

    def _allocations(self) -> Iterator[Allocation]:
        nothing = api.ContainerAllocateResponse()
        for uid, containers in self._state.pods.items():
            for container, resources in containers.items():
                for resource, ids in resources.items():
                    yield Allocation(uid, container, resource, frozenset(ids), {}, nothing)

    async def _ask(self, do: str, **fields: Any) -> Any:
        assert self._process is not None
        answer = await self._process.ask(do, **fields)
        # Of messages that leave together the last one has the state.
        await self.journal.until(lambda: not self._behind, 10, patience)
        return answer

    def _heard(self, message: Message) -> None:
        self._behind = message.state is None
        if message.state is not None:
            self._state = message.state
        if message.event == "died":
            self.journal.violate("R33", f"the kubelet died: {message.error}")
        elif message.event == "update":
            for uid in message.values["pods"]:
                pod = self._pods.get(uid)
                self.journal.note("pod sync", "", f"{pod.namespace}/{pod.name}" if pod else uid)
        else:
            self._log.read(message)
        self.journal.wake()


class LogReader:
    """Makes notes of the kubelet's log lines, which are the same from version to version."""

    def __init__(self, journal: Journal) -> None:
        self.sockets: dict[str, str] = {}
        self._journal = journal
        self._caller = ""
        self._found: dict[str, str] = {}
        self._readers: Mapping[str, Callable[[Message, str], None]] = {
            "Got registration request from device plugin with resource": self._called,
            "Registering plugin at endpoint": self._met,
            "Registered client": self._known,
            "Connected to new client": self._connected,
            "Failed to connect to new client": self._refused,
            "Bad registration request from device plugin": self._refused,
            "Bad registration request from device plugin with resource": self._refused,
            "Processed device updates for resource": self._listed,
            "ListAndWatch ended unexpectedly for device plugin": self._ended,
            "Device plugin disconnected": self._disconnected,
            "Issuing a GetPreferredAllocation call for container": self._preferred,
            "Making allocation request for device plugin": self._allocated,
        }

    def read(self, line: Message) -> None:
        """Note what a line tells, if anything."""
        if reader := self._readers.get(line.text):
            resource = line.values.get("resourceName") or line.values.get("resource") or ""
            reader(line, resource)

    def _called(self, _: Message, resource: str) -> None:
        self._caller = resource

    def _met(self, line: Message, _: str) -> None:
        name, endpoint = line.values["plugin"], line.values["endpoint"]
        self._found[name] = self.sockets[name] = endpoint

    def _known(self, line: Message, _: str) -> None:
        if "socketPath" in line.values:
            self.sockets[line.values["name"]] = line.values["socketPath"]

    def _connected(self, _: Message, resource: str) -> None:
        self._registered(resource, "")

    def _refused(self, line: Message, resource: str) -> None:
        # A line without a resource is about the caller named before.
        self._registered(resource or self._caller, line.error)

    def _listed(self, line: Message, resource: str) -> None:
        self._journal.note("list", resource, count=line.values["totalCount"])

    def _ended(self, line: Message, resource: str) -> None:
        self._journal.note("stream end", resource, line.error)

    def _disconnected(self, _: Message, resource: str) -> None:
        self._journal.note("disconnect", resource)

    def _preferred(self, _: Message, resource: str) -> None:
        self._journal.note("preferred", resource)

    def _allocated(self, line: Message, resource: str) -> None:
        ids = line.values["devices"]
        self._journal.note("allocate", resource, ",".join(sorted(ids)), count=len(ids))

    def _registered(self, resource: str, problem: str) -> None:
        path = self._found.get(resource, "")
        request = api.RegisterRequest(resource_name=resource, endpoint=path) if path else None
        self._journal.note("register", resource, problem, request=request, found=path)


def _spec(pod: Pod) -> dict[str, Any]:
    containers = [
        {"name": c.name, "init": c.init, "sidecar": c.sidecar, "limits": dict(c.limits)}
        for c in pod.containers
    ]
    return {
        "uid": pod.uid,
        "name": pod.name,
        "namespace": pod.namespace,
        "containers": containers,
    }


def _run(options: Mapping[str, Any]) -> ContainerRun:
    run = ContainerRun()
    run.envs = {e["Name"]: e["Value"] for e in options.get("Envs") or ()}
    run.annotations = {a["Name"]: a["Value"] for a in options.get("Annotations") or ()}
    run.mounts = {
        m["ContainerPath"]: api.Mount(
            container_path=m["ContainerPath"], host_path=m["HostPath"], read_only=m["ReadOnly"]
        )
        for m in options.get("Mounts") or ()
    }
    run.devices = {
        d["PathInContainer"]: api.DeviceSpec(
            container_path=d["PathInContainer"],
            host_path=d["PathOnHost"],
            permissions=d["Permissions"],
        )
        for d in options.get("Devices") or ()
    }
    run.cdi_devices = [c["Name"] for c in options.get("CDIDevices") or ()]
    return run
