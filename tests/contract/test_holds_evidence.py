"""What says that a device is in use, where pod resources does not, or not yet."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from kubelets.plugin import StreamPlugin
from nodeplug.allocation import Allocator
from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import ShortageError
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.supervisor.host_evidence import HostEvidence
from nodeplug.testing import Container, Pod
from nodeplug.values.edits import ContainerEdits
from support.backends_stage import Play, Running, Sections, backends_stage, custom, files

THING, TWIN, SLOW = "example.com/thing", "example.com/twin", "example.com/slow"
THEIRS = "other.example.com/thing"
SECTIONS = custom(files(THING, "/dev/t*"))


async def served(play: Play) -> Running:
    """Serve a device node."""
    play.node("/dev/t0", 0)
    agent = play.start(SECTIONS)
    await play.listed(THING, 1)
    return agent


async def known_to_the_next(play: Play, agent: Running, pod_resources: Path | None = None) -> None:
    """See that an agent without a ledger does not give the same node by another path."""
    await agent.stop()
    shutil.rmtree(play.ledger, ignore_errors=True)
    play.start(twin(play), pod_resources=pod_resources or play.pod_resources)
    await play.kubelet.until(lambda: bool(play.health(TWIN)))
    await play.refuses(TWIN)


def twin(play: Play) -> Sections:
    """Make another node of the same number, and return the configuration that has it."""
    play.node("/dev/u0", 0)
    return custom(files(TWIN, "/dev/u*"), files(SLOW, "/dev/s*"))


async def test_what_an_init_container_has_is_in_use_after_a_restart_of_the_agent(
    kind: Kind,
) -> None:
    """Pod resources leaves it out (R86)."""
    async with backends_stage(kind) as play:
        agent = await served(play)
        init = Container("first", {THING: 1}, init=True)
        await play.kubelet.admit(Pod((init, Container("app", {}))))
        await known_to_the_next(play, agent)


@pytest.mark.usefixtures("slow")
async def test_what_a_container_waits_with_for_a_second_resource_is_in_use(kind: Kind) -> None:
    """The kubelet writes down nothing of a container before it has all (R66)."""
    async with backends_stage(kind) as play:
        for name in ("t0", "s0"):
            play.node(f"/dev/{name}", "ts".index(name[0]))
        agent = play.start(custom(files(THING, "/dev/t*"), files(SLOW, "/dev/s*")))
        await play.listed(THING, 1)
        await play.listed(SLOW, 1)
        init = Container("first", {THING: 1, SLOW: 1}, init=True)
        await play.kubelet.admit(Pod((init, Container("app", {}))))
        await agent.reload(**twin(play))
        await play.kubelet.until(lambda: bool(play.health(TWIN)))
        await play.refuses(TWIN)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let answers for one resource take longer than looks and writes."""
    allocate = Allocator.allocate

    async def late(self: Allocator, ids: Collection[str]) -> ContainerEdits:
        edits = await allocate(self, ids)
        if self._pool.resource == SLOW:
            await asyncio.sleep(4)
        return edits

    monkeypatch.setattr(Allocator, "allocate", late)


async def test_what_is_in_use_is_known_before_pod_resources_answers(kind: Kind) -> None:
    """A kubelet with many pods takes its time; the first list does not wait so long."""
    async with backends_stage(kind) as play:
        agent = await served(play)
        await play.given(THING)
        late = play.directory.with_name("late.sock")
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(late))
            deaf.listen()
            await known_to_the_next(play, agent, late)


async def test_what_is_in_use_is_known_without_pod_resources(kind: Kind) -> None:
    """A mount may be missing; the checkpoint is where sockets are."""
    async with backends_stage(kind) as play:
        agent = await served(play)
        await play.given(THING)
        await known_to_the_next(play, agent, play.directory.with_name("nothing.sock"))


@asynccontextmanager
async def theirs(play: Play, node: str, device: str) -> AsyncIterator[Pod]:
    """Let a pod have a node by another vendor's plugin."""
    plugin = StreamPlugin(play.directory, THEIRS, "theirs.sock")
    plugin.answer_with(node)
    plugin.send(**{device: "Healthy"})
    await plugin.start()
    await plugin.register()
    await play.listed(THEIRS, 1)
    try:
        pod, hardware = await play.given(THEIRS)
        assert hardware
        yield pod
    finally:
        await plugin.stop()


async def test_a_node_that_another_vendor_s_plugin_gave_is_in_use_until_that_pod_ends(
    kind: Kind,
) -> None:
    """The kubelet has its answer written down (R66); its id says nothing to us."""
    async with backends_stage(kind) as play:
        play.node("/dev/t0", 0)
        async with theirs(play, "/dev/t0", "x") as pod:
            play.start(SECTIONS)
            await play.kubelet.until(lambda: bool(play.health(THING)))
            await play.refuses(THING)
            await play.kubelet.remove(pod)
            await play.listed(THING, 1)
            await play.given(THING)


async def test_a_node_that_another_vendor_s_plugin_gives_is_in_use_soon(kind: Kind) -> None:
    """While nothing of ours asks for a look: the kubelet has written something down."""
    async with backends_stage(kind) as play:
        play.node("/dev/t0", 0)
        play.start(SECTIONS)
        await play.settled(THING, 1)
        async with theirs(play, "/dev/t0", "x"):
            await play.listed(THING, 0)
            await play.refuses(THING)


async def test_an_id_of_another_vendor_s_plugin_that_is_equal_to_ours_holds_nothing(
    kind: Kind,
) -> None:
    """It gave another node: ids are a vendor's own."""
    async with backends_stage(kind) as play:
        play.kubelet.physical = lambda *key: key
        for name, number in (("t0", 0), ("x0", 1)):
            play.node(f"/dev/{name}", number)
        async with theirs(play, "/dev/x0", "dev:t0"):
            play.start(SECTIONS)
            await play.listed(THING, 1)
            assert set(play.health(THING)) == {"dev:t0"}
            await play.given(THING)


@pytest.mark.parametrize(
    "error", [ShortageError("no files"), RuntimeError("no new thread"), TypeError("an odd file")]
)
async def test_without_files_or_threads_no_pod_is_taken_for_ended(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor does the agent end."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(HardwareLook, "lives", fail)
    evidence = HostEvidence(HardwareLook(HostRoot(tmp_path), tmp_path))
    assert await evidence._ended(["a-pod"]) == frozenset()
