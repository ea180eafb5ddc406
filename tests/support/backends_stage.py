"""Agents with real backends beside simulated hardware, under a kubelet of any kind."""

import asyncio
import os
import re
import shutil
import stat
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from kubelets.kinds import DEFAULT, AnyKubelet, Kind
from nodeplug.backend import Simulator
from nodeplug.host.host import open_host
from nodeplug.loader import load
from nodeplug.offers import OfferRule
from nodeplug.supervisor.agent import Agent, ConfiguredBackend, Node, Rules
from nodeplug.testing import AdmissionError, Kubelet, Pod
from nodeplug.testing.kubelet.pods import ContainerRun
from support.hardware_tree import HardwareTree
from support.needs import require

Sections = Mapping[str, Mapping[str, Any]]
Hardware = frozenset[str]

# Linux, Documentation/admin-guide/devices.txt: for local use, so no driver has it.
MAJOR = 240
_FOR_MANY = re.compile(r"/dev/(vfio/vfio|nvidiactl|nvidia-uvm.*|nvidia-caps/.*)")
_TELLS = re.compile(r"NVIDIA_VISIBLE_DEVICES|PCIDEVICE_\w+(?<!_INFO)")


class Running:
    """An agent with some backends, until it is stopped."""

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self.task = asyncio.create_task(agent.run())

    async def reload(self, *rules: OfferRule, **sections: Mapping[str, Any]) -> None:
        """Take these rules over, and these sections by the name of their backends."""
        settings = {name: _settings(name, section) for name, section in sections.items()}
        await self.agent.apply(Rules(rules), settings)

    async def stop(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


class Play:
    """One node: its hardware below `root`, a kubelet, agents started and stopped at will."""

    def __init__(self, folder: Path, kubelet: AnyKubelet) -> None:
        self.kubelet = kubelet
        self.root = folder / "host"
        self.directory = folder / "dp"
        self.pod_resources = folder / "pr.sock"
        self.ledger = folder / "ledger"
        self.agents: list[Running] = []

    # The hardware.

    def simulator(self, backend: str) -> Simulator:
        """Return hardware for a backend, as its own package simulates it."""
        return load(backend).simulator(self.root)

    def node(self, path: str, minor: int, *, major: int = MAJOR, block: bool = False) -> None:
        """Make a device node of a number, in the place of one that is there."""
        require(os.geteuid() == 0, "making device nodes needs root")
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        kind = stat.S_IFBLK if block else stat.S_IFCHR
        os.mknod(file, kind | 0o600, os.makedev(major, minor))

    def seen(self, *runs: ContainerRun) -> Hardware:
        """Return what containers have got, by a look at the nodes and variables they were given."""
        return frozenset(each for run in runs for each in self._seen(run))

    def _seen(self, run: ContainerRun) -> Hardware:
        paths = [device.host_path for device in run.devices.values()]
        found = {self._identity(path) for path in paths if not _FOR_MANY.fullmatch(path)}
        told = [value for name, value in run.envs.items() if _TELLS.fullmatch(name)]
        return frozenset(found - {""}) | frozenset(",".join(told).split(",")) - {""}

    def _identity(self, path: str) -> str:
        try:
            found = (self.root / path.lstrip("/")).stat()
        except FileNotFoundError:
            return ""
        if stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode):
            kind = "block" if stat.S_ISBLK(found.st_mode) else "char"
            return f"{kind} {os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
        return f"file {found.st_ino}"

    # The agents.

    def start(
        self, sections: Sections, *rules: OfferRule, installation: str = "one", **node: Any
    ) -> Running:
        """Start an agent with backends by name; `node` is what it is told otherwise of its node."""
        backends = [
            ConfiguredBackend(load(name), _settings(name, section))
            for name, section in sections.items()
        ]
        told = Node(
            self.directory,
            self.pod_resources,
            Rules(rules),
            self.directory.with_name("cdi"),
            installation=installation,
            ledger_dir=self.ledger,
        )
        host = open_host(str(self.root), str(self.root / "uevents.sock"))
        running = Running(Agent(backends, host, told._replace(**node)))
        self.agents.append(running)
        return running

    # The kubelet and its pods.

    async def listed(self, resource: str, allocatable: int) -> None:
        """Wait until so many devices of a resource can be given, or are."""
        await self.kubelet.until(lambda: self.allocatable(resource) == allocatable, 15)

    async def settled(self, resource: str, allocatable: int) -> None:
        """Wait for what should be listed, but only so long: answers are what is judged."""
        with suppress(TimeoutError):
            await self.kubelet.until(lambda: self.allocatable(resource) == allocatable, 3)

    def allocatable(self, resource: str) -> int:
        found = self.kubelet.capacity(resource)
        return -1 if found is None else found.allocatable

    def health(self, resource: str) -> Mapping[str, str]:
        """Return the health of a resource's devices, as the kubelet knows it."""
        return self.kubelet.devices(resource)

    def free(self, resource: str) -> int:
        """Return how many ids of a resource the kubelet would give."""
        listed = self.kubelet.devices(resource)
        healthy = {device for device, health in listed.items() if health == "Healthy"}
        return len(healthy - self.kubelet.held(resource))

    async def given(self, resource: str, count: int = 1) -> tuple[Pod, Hardware]:
        """Return a pod that has devices of a resource, and the hardware it has."""
        pod = Pod.of({resource: count})
        runs = await self.kubelet.admit(pod)
        return pod, self.seen(*runs.values())

    async def given_what(self, resource: str, path: str) -> tuple[Pod, Hardware]:
        """Return a pod that has a device with this node, and all its hardware; others end."""
        others: list[Pod] = []
        wanted = self._identity(path)
        while True:
            pod, hardware = await self.given(resource)
            if wanted in hardware:
                break
            others.append(pod)
        for other in others:
            await self.kubelet.remove(other)
        return pod, hardware

    async def rest(self, resource: str) -> tuple[list[Pod], Hardware]:
        """Return pods with a device each that have all that can be given, and their hardware."""
        pods: list[Pod] = []
        hardware: Hardware = frozenset()
        with suppress(AdmissionError):
            while self.free(resource):
                pod, more = await self.given(resource)
                pods.append(pod)
                hardware |= more
        return pods, hardware

    async def refuses(self, resource: str) -> None:
        """See that a pod which asks for one device does not start, as what it wants is in use."""
        try:
            _, hardware = await self.given(resource)
        except AdmissionError:
            reasons = self.reasons(resource)
            assert any(re.match("in use as|still held as", each) for each in reasons), reasons
        else:
            raise AssertionError(f"a pod got {sorted(hardware)} of {resource}")

    def reasons(self, resource: str) -> list[str]:
        """Return what agents say is wrong with devices of a resource."""
        resources = [
            each
            for running in self.agents
            if not running.task.done()
            for each in running.agent.report().resources
        ]
        pools = [each.pool for each in resources if each.pool.resource == resource]
        return [device.reason for pool in pools for device in pool.snapshot.devices]

    async def restart_kubelet(self, *pods: Pod) -> None:
        """Have the kubelet start again while all containers of these pods run on."""
        await self.kubelet.stop()
        await self.start_kubelet(*pods)

    async def start_kubelet(self, *pods: Pod) -> None:
        """Start the kubelet; it finds all containers of these pods running."""
        running = {(pod.uid, each.name) for pod in pods for each in pod.staying}
        await self.kubelet.start(running=running, ready=False)
        await self.kubelet.readmit(running=True)


class Tree(HardwareTree):
    """Hardware below the root of a play; each device node has a number of its own."""

    def __init__(self, play: Play) -> None:
        super().__init__(play.root)
        self._numbered = 0

    def char(self, host_path: str, number: str = "") -> None:
        self._numbered += 1
        super().char(host_path, number or f"{MAJOR}:{self._numbered}")


def _settings(name: str, section: Mapping[str, Any]) -> Any:
    return msgspec.convert(dict(section), load(name).settings)


def files(resource: str, *paths: str, **others: Any) -> dict[str, Any]:
    """Return an entry of the custom backend for device nodes."""
    return {"name": resource, "devices": [{"path": path} for path in paths], **others}


def custom(*resources: Mapping[str, Any]) -> Sections:
    """Return the configuration of the custom backend alone."""
    return {"custom": {"reconcileSeconds": 0.2, "resources": resources}}


@asynccontextmanager
async def backends_stage(kind: Kind = DEFAULT, **options: Any) -> AsyncGenerator[Play]:
    """Open a stage without hardware and without agents; `options` are an embedded kubelet's."""
    folder = Path(tempfile.mkdtemp(prefix="np", dir="/tmp"))
    try:
        for name in ("dp", "host"):
            (folder / name).mkdir(parents=True)
        async with _kubelet(kind, folder, **options) as kubelet:
            play = Play(folder, kubelet)
            try:
                yield play
            finally:
                for running in play.agents:
                    if not running.task.done():
                        await running.stop()
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


def _kubelet(kind: Kind, folder: Path, **options: Any) -> AnyKubelet:
    if kind.version:
        return kind.make(folder / "dp", pod_resources=folder / "pr.sock")
    return Kubelet(
        folder / "dp",
        profile=kind.profile,
        pod_resources=folder / "pr.sock",
        host_root=folder / "host",
        **options,
    )
