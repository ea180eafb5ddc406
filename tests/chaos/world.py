"""A node with the agent as a process, every installed backend simulated, and what must be true."""

import asyncio
import os
import random
import shutil
import tempfile
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from chaos.truth import REMOTE, REMOTE_DIR, REMOTE_DISKS, Truth, VendorTruth
from nodeplug.backend import BackendSpec, Simulator
from nodeplug.host.root import HostRoot
from nodeplug.kubelet.evidence import ask_kubelet
from nodeplug.loader import installed, load_each
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import AdmissionError, Kubelet, Pod
from support.awkward.backend import AwkwardSimulator
from support.awkward.state import State, write_state
from support.command import environment
from support.mounts import can_mount_in_namespace
from support.packages import install
from support.slow_files import SlowFiles, can_serve_files
from support.small_disk import SmallDisks, small_disks

AWKWARD = "from support.awkward.backend import nodeplug_backend\n"
# What a promise of 50 ms may take on a machine that is busy with something else.
EVENT_SECONDS = 5.0
RESTART_SECONDS = 20.0
_LOG_LINES = 20
_EVENTS_LENGTH = 3000


class BrokenError(AssertionError):
    """Something that must be true is not."""


class World:
    """All that the campaign acts on. `dice` decides everything that is left to chance."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder = folder
        self.dice = dice
        specs = [s for s in load_each(installed()).values() if isinstance(s, BackendSpec)]
        self.sections: dict[str, Mapping[str, Any]] = {"awkward": {}}
        self.sections |= {spec.name: {} for spec in specs}
        self.agent = self.new_agent()
        self.host = HostRoot(self.agent.host_root)
        AwkwardSimulator(self.agent.host_root)
        self.simulators: list[Simulator] = [s.simulator(self.agent.host_root) for s in specs]
        self.sections |= {s.name: x.settings for s, x in zip(specs, self.simulators, strict=True)}
        self.sections["custom"] = with_remote_disks(self.sections["custom"])
        self.files: SlowFiles | None = None
        self.hanging = False
        self.rules: list[Mapping[str, object]] = []
        self.kubelet = Kubelet(self.agent.plugin_dir, pod_resources=self.agent.pod_resources)
        self.state = State()
        self.truth = Truth(self)
        self.vendors = [VendorTruth(simulator) for simulator in self.simulators]
        self.pods: list[tuple[Pod, str]] = []
        self.admitted = 0
        self.disks: SmallDisks | None = None

    def new_agent(self) -> AgentProcess:
        agent = AgentProcess(self.folder, self.sections)
        agent.settings = {"metrics": {"enabled": False}, "log": {"level": "info"}}
        return agent

    def configure(self) -> None:
        """Write the configuration; a running agent takes it over."""
        self.agent.offer(self.rules)

    def set(self, **facts: object) -> None:
        """Change the awkward hardware."""
        self.state = State(**{f: getattr(self.state, f) for f in State.__struct_fields__} | facts)
        write_state(self.host, self.state)

    async def settled(self, seconds: float = EVENT_SECONDS) -> None:
        """Wait until the kubelet's view is the truth, all of it, and so is what is written."""
        try:
            await self.kubelet.until(self.truth.holds, seconds)
            await self.written(self.truth.missing_files, seconds)
        except TimeoutError as error:
            log = "\n".join(self.agent.log.read_text().splitlines()[-_LOG_LINES:])
            evidence = await ask_kubelet(self.agent.pod_resources, self.agent.plugin_dir)
            text = (
                f"after {seconds} s: {self.truth.difference()}\nthe kubelet tells {evidence}\n{log}"
            )
            raise BrokenError(f"{text}\n{str(error)[-_EVENTS_LENGTH:]}") from error
        if self.kubelet.journal.violations:
            raise BrokenError(str(self.kubelet.journal.violations[0]))

    async def written(self, missing: Callable[[], Sequence[str]], seconds: float) -> None:
        """Wait until no file is missing."""
        try:
            async with asyncio.timeout(seconds):
                while missing():  # noqa: ASYNC110 - files tell nobody
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise BrokenError(f"not written: {missing()}") from None

    async def admit(self, resource: str) -> None:
        """Admit a pod for a resource that has free devices; it must get healthy ones.

        A kubelet that is just losing a stream refuses pods by itself; its next answer counts.
        """
        for pause in (0.1, 0.5, 2.5):
            try:
                return await self._admit(resource)
            except AdmissionError:
                await asyncio.sleep(pause)
                await self.settled()
        try:
            await self._admit(resource)
        except AdmissionError as error:
            raise BrokenError(f"pods for {resource} are refused: {error}") from error

    async def _admit(self, resource: str) -> None:
        free = self.truth.healthy(resource) - self.kubelet.held(resource)
        if not free:
            return
        count = self.dice.randint(1, min(2, len(free)))
        before = self.kubelet.held(resource)
        pod = Pod.of({resource: count})
        await self.kubelet.admit(pod)
        await self.kubelet.start_container(pod, pod.containers[0].name)
        given = self.kubelet.held(resource) - before
        if not given <= free or len(given) != count:
            raise BrokenError(f"a pod got {sorted(given)} of {sorted(free)}")
        self.pods.append((pod, resource))
        self.admitted += 1

    async def end_pod(self) -> None:
        """End one pod, if there is any."""
        if self.pods:
            pod, _ = self.pods.pop(self.dice.randrange(len(self.pods)))
            await self.kubelet.remove(pod)

    def forget(self, rejected: Sequence[str]) -> None:
        """Take note of pods that the kubelet rejected at its start."""
        self.pods = [(pod, resource) for pod, resource in self.pods if pod.name not in rejected]


def with_remote_disks(section: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a section of the custom backend with devices on a file system that may hang."""
    disks = [{"path": f"/{REMOTE_DIR}/disk*", "type": "file"}]
    more = {"name": REMOTE, "devices": disks}
    return {**section, "resources": [*section["resources"], more]}


@contextmanager
def disks_of(play: World) -> Iterator[None]:
    """Give the world its own disks, as far as this process may mount them."""
    remote = play.agent.host_root / REMOTE_DIR
    remote.mkdir()
    with ExitStack() as stack:
        if can_serve_files():
            play.files = stack.enter_context(SlowFiles(remote, *REMOTE_DISKS))
        else:
            for name in REMOTE_DISKS:
                (remote / name).touch()
        if can_mount_in_namespace():
            places = play.agent.plugin_dir, play.folder / "cdi"
            play.disks = stack.enter_context(small_disks(*places))
        yield


@asynccontextmanager
async def world(dice: random.Random) -> AsyncGenerator[World, None]:
    """Make a world whose agent has settled, and clear it away."""
    folder = Path(tempfile.mkdtemp(prefix="npc", dir="/tmp"))
    (folder / "site").mkdir()
    install(folder / "site", "awkward", AWKWARD)
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = environment(folder / "site")["PYTHONPATH"]
    play = World(folder, dice)
    try:
        with disks_of(play):
            async with play.kubelet:
                play.configure()
                await play.agent.start()
                await play.kubelet.until(play.truth.all_listed, RESTART_SECONDS)
                await asyncio.sleep(0.5)
                play.truth.take()
                try:
                    yield play
                finally:
                    await play.agent.kill()
                    play.kubelet.journal.violations.clear()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("PYTHONPATH") if before is None else os.environ.update(PYTHONPATH=before)
