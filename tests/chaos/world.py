"""A node with the agent as a process, every installed backend simulated, and what must be true."""

import asyncio
import os
import random
import shutil
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from chaos.disks import FEATURES, disks_of, with_remote_disks
from chaos.hardware import Hardware, number_cards
from chaos.limits import own_limits
from chaos.outside import Outside, outside_of, settings_of
from chaos.truth import DOMAINS, Held, Truth, Unit, VendorTruth
from nodeplug.backend import BackendSpec, Simulator
from nodeplug.host.disk import Disk
from nodeplug.host.root import HostRoot
from nodeplug.kubelet.evidence import CheckpointFile, ask_kubelet
from nodeplug.kubelet.served import served_devices
from nodeplug.loader import installed, load_each
from nodeplug.simulate.agent_process import AgentProcess
from nodeplug.testing import AdmissionError, ContainerRun, Kubelet, Pod
from nodeplug.testing.patience import patience
from nodeplug_sriov_net.simulator import SriovNetSimulator
from support.awkward.backend import AwkwardSimulator
from support.awkward.state import State, write_state
from support.command import environment
from support.packages import install

if TYPE_CHECKING:
    from support.slow_files import SlowFiles
    from support.small_disk import SmallDisks

AWKWARD = "from support.awkward.backend import nodeplug_backend\n"
# What a promise of 50 ms may take on a machine that is busy with something else.
EVENT_SECONDS = 5.0
RESTART_SECONDS = 20.0
_LOG_LINES = 20
_EVENTS_LENGTH = 3000
_MOST_DEVICES = 2
_LATELY = 30


class BrokenError(AssertionError):
    """Something that must be true is not."""


class World:
    """All that the campaign acts on. `dice` decides everything that is left to chance.

    The agent can be reached only if somebody is `outside`.
    """

    def __init__(self, folder: Path, dice: random.Random, outside: Outside | None = None) -> None:
        self.folder = folder
        self.dice = dice
        self.outside = outside
        specs = [s for s in load_each(installed()).values() if isinstance(s, BackendSpec)]
        self.sections: dict[str, Mapping[str, Any]] = {"awkward": {}}
        self.sections |= {spec.name: {} for spec in specs}
        self.agent = self.new_agent()
        self.host = HostRoot(self.agent.host_root)
        AwkwardSimulator(self.agent.host_root)
        self.simulators: list[Simulator] = [s.simulator(self.agent.host_root) for s in specs]
        number_cards(self.agent.host_root)
        self.sections |= {s.name: x.settings for s, x in zip(specs, self.simulators, strict=True)}
        self.sections["custom"] = with_remote_disks(self.sections["custom"])
        self.files: SlowFiles | None = None
        self.hanging = False
        self.rules: list[Mapping[str, object]] = []
        self.kubelet = Kubelet(
            self.agent.plugin_dir,
            pod_resources=self.agent.pod_resources,
            host_root=self.agent.host_root,
            cdi_dir=folder / "cdi",
        )
        self.state = State()
        self.hardware = self._own_hardware()
        self.truth = Truth(self)
        self.vendors = [VendorTruth(simulator) for simulator in self.simulators]
        self.pods: list[tuple[Pod, str]] = []
        self.ghosts: list[Pod] = []
        self.held: list[Held] = []
        self.ended: deque[Held] = deque(maxlen=_LATELY)
        self.admitted = 0
        self.disks: SmallDisks | None = None
        self.rooms: dict[str, SmallDisks] = {}

    @property
    def domain(self) -> str:
        """What the names of the awkward hardware begin with."""
        return str(self.sections["awkward"].get("domain", DOMAINS[0]))

    def _own_hardware(self) -> Hardware:
        [sriov] = [each for each in self.simulators if isinstance(each, SriovNetSimulator)]
        hardware = Hardware(self.agent.host_root, self.state.boards, sriov)
        hardware.configure(self.sections)
        self.set(nodes={f"awk-{name}": f"/dev/{name}" for name in hardware.nodes.boards})
        return hardware

    def new_agent(self) -> AgentProcess:
        agent = AgentProcess(self.folder, self.sections)
        labels = {"enabled": True, "featureDir": f"/{FEATURES}"}
        agent.settings = {**settings_of(self.outside), "log": {"level": "info"}, "labels": labels}
        agent.before = own_limits()
        return agent

    def configure(self) -> None:
        """Write the configuration; a running agent takes it over."""
        self.agent.offer(self.rules)

    def set(self, **facts: object) -> None:
        """Change the awkward hardware."""
        self.state = State(**{f: getattr(self.state, f) for f in State.__struct_fields__} | facts)
        write_state(self.host, self.state)

    def shareable(self) -> list[str]:
        """Return the resources whose devices several pods may share at times."""
        return [self.truth.board, *(vendor.resource for vendor in self.vendors)]

    async def settled(self, seconds: float = EVENT_SECONDS) -> None:
        """Wait until the kubelet's view is the truth, all of it, and so is what is written."""
        self.held = [self.truth.followed(each) for each in self.held]
        try:
            await self.kubelet.until(self._judged, seconds)
            if not self.kubelet.journal.violations:
                await self.written(self.truth.missing_files, seconds)
        except TimeoutError as error:
            log = "\n".join(self.agent.log.read_text().splitlines()[-_LOG_LINES:])
            checkpoint = CheckpointFile(self.agent.plugin_dir, Disk("checkpoint"))
            evidence = await ask_kubelet(self.agent.pod_resources, checkpoint)
            served = await served_devices(self.agent.plugin_dir)
            reasons = {key: each.reason for key, each in served.items() if each.reason}
            text = (
                f"after {seconds} s: {self.truth.difference()}\npods have {self.held}\n"
                f"the agent says {reasons}\nthe kubelet tells {evidence}\n{log}"
            )
            raise BrokenError(f"{text}\n{str(error)[-_EVENTS_LENGTH:]}") from error
        if self.kubelet.journal.violations:
            raise BrokenError(str(self.kubelet.journal.violations[0]))

    def _judged(self) -> bool:
        """Whether there is nothing to wait for: the truth holds, or never will."""
        return bool(self.kubelet.journal.violations) or self.truth.holds()

    async def written(self, missing: Callable[[], Sequence[str]], seconds: float) -> None:
        """Wait until no file is missing."""
        try:
            async with patience(seconds):
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
                return await self.admit_once(resource)
            except AdmissionError:
                await asyncio.sleep(pause)
                await self.settled()
        try:
            await self.admit_once(resource)
        except AdmissionError as error:
            raise BrokenError(f"pods for {resource} are refused: {error}") from error

    async def admit_once(self, resource: str) -> None:
        """Admit a pod as `admit` does, but raise AdmissionError if it is refused."""
        held = {h.unit.id for h in self.held if h.unit.resource == resource and not h.gone}
        free = self.truth.allowed(resource) - held
        able = free & self.truth.shown(resource)
        if not able:
            return
        count = self.dice.randint(1, min(_MOST_DEVICES, len(able)))
        pod = Pod.of({resource: count})
        await self.kubelet.admit(pod)
        [container] = pod.containers
        run = await self.kubelet.start_container(pod, container.name)
        given = self.kubelet.pod_status(pod)[container.name][resource].keys()
        got = [self._held(pod, Unit(resource, each), run) for each in given]
        if len(got) != count or not all(h.unit.id in free or self._was_free(h) for h in got):
            raise BrokenError(f"a pod got {got} of {sorted(free)} when pods had {self.held}")
        self.pods.append((pod, resource))
        self.held += got
        self.admitted += 1

    async def end_pod(self, chosen: Pod | None = None) -> None:
        """End one pod, or any if there is one."""
        if self.pods:
            pod = chosen or self.dice.choice(self.pods)[0]
            self.pods = [each for each in self.pods if each[0] is not pod]
            await self.kubelet.remove(pod)
            self._release(pod.uid)

    def look_again(self) -> None:
        """Note what hardware is behind paths now: containers that start anew get that."""
        self.held = [Held(h.pod, h.unit, self.truth.parts(h.unit), h.node) for h in self.held]

    async def delete_by_force(self) -> None:
        """Let the kubelet forget a pod whose containers live, and free what it had.

        An agent that has not seen yet which pod has a device cannot know of it afterwards.
        """
        if self.pods:
            pod, resource = self.pods.pop(self.dice.randrange(len(self.pods)))
            await self.written(lambda: self._unknown(pod), RESTART_SECONDS)
            self.kubelet.forget(pod)
            self.held = [h._replace(gone=h.gone or h.pod == pod.uid) for h in self.held]
            self.ghosts.append(pod)
            # R47: the next admission frees, even one that is refused.
            nothing = Pod.of({resource: 0})
            with suppress(AdmissionError):
                await self.kubelet.admit(nothing)
            await self.kubelet.remove(nothing)

    def share_all(self) -> None:
        """Share all that may be shared; what was given to one alone must be free for that."""
        self.rules = [{"resource": name, "replicas": 2} for name in self.shareable()]
        self.configure()

    def _unknown(self, pod: Pod) -> Sequence[str]:
        """Return a pod's name unless an agent has noted that it has devices."""
        noted = self.agent.plugin_dir.with_name("ledger").glob("*.jsonl")
        return [] if any(pod.uid in file.read_text() for file in noted) else [pod.name]

    def end_ghosts(self) -> None:
        """Let the containers end whose pods the kubelet has forgotten."""
        self.kubelet.end_containers(*self.ghosts)
        self._release(*(pod.uid for pod in self.ghosts))
        self.ghosts.clear()

    def forget_rejected(self, rejected: Sequence[str], staying: AbstractSet[str]) -> None:
        """Take note of them; those whose devices are there must not be among them."""
        if lost := [p.name for p, _ in self.pods if p.name in rejected and p.uid in staying]:
            raise BrokenError(f"after the reboot {lost} were refused")
        self.forget(rejected)

    def _held(self, pod: Pod, unit: Unit, run: ContainerRun) -> Held:
        node = self.hardware.given(unit.resource, unit.device, run)
        identity = frozenset({self.hardware.nodes.identity(node)} - {""})
        parts = identity if node else self.truth.parts(unit)
        before = [each.parts for each in (*self.ended, *self.held) if each.unit == unit]
        return Held(pod.uid, unit, parts, node, frozenset().union(*before) - parts)

    def _was_free(self, held: Held) -> bool:
        """Whether what an answer names, which may be what was there before, is nobody else's."""
        return bool(held.node) and not any(True for _ in self.truth.users(held.unit, held.parts))

    def _release(self, *pods: str) -> None:
        self.ended += [each for each in self.held if each.pod in pods]
        self.held = [each for each in self.held if each.pod not in pods]

    def forget(self, rejected: Sequence[str]) -> None:
        """Take note of pods that the kubelet rejected at its start."""
        self._release(*(pod.uid for pod, _ in self.pods if pod.name in rejected))
        self.pods = [(pod, resource) for pod, resource in self.pods if pod.name not in rejected]


@asynccontextmanager
async def world(
    dice: random.Random, *, planted: str = "", outside: bool = False
) -> AsyncGenerator[World, None]:
    """Make a world whose agent has settled, and clear it away.

    `planted` is code that every agent runs at its start: to break a rule of its own. With
    `outside` it can be reached, and reaches an API server.
    """
    folder = Path(tempfile.mkdtemp(prefix="npc", dir="/tmp"))
    (folder / "site").mkdir()
    install(folder / "site", "awkward", AWKWARD)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        others = stack.enter_context(outside_of(folder)) if outside else None
        code = f"{others.planted if others else ''}{planted}"
        (folder / "site/sitecustomize.py").write_text(code)
        own = dict(others.environment) if others else {}
        own["PYTHONPATH"] = environment(folder / "site")["PYTHONPATH"]
        stack.enter_context(mock.patch.dict(os.environ, own))
        play = World(folder, dice, others)
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
