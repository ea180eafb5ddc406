"""When a device in use under another id is believed to be free, and when not."""

import asyncio
import time
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.holdings import Listing
from nodeplug.kubelet.evidence import CheckpointFile, ask_kubelet
from nodeplug.supervisor import usage
from nodeplug.testing import Kubelet, Pod
from nodeplug.testing.patience import patience
from support.backends_stage import Play, Running, backends_stage, custom, files
from support.timed import on_this_machine, timed

THING, TWIN = "example.com/thing", "example.com/twin"


async def waiting(play: Play) -> tuple[Pod, Running]:
    """Let a pod have a node that another resource waits for, by another path of its number."""
    play.node("/dev/t0", 0)
    agent = play.start(custom(files(THING, "/dev/t*")))
    await play.listed(THING, 1)
    pod, _ = await play.given(THING)
    play.node("/dev/u0", 0)
    await agent.reload(**custom(files(TWIN, "/dev/u*")))
    await play.kubelet.until(lambda: bool(play.health(TWIN)))
    return pod, agent


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[Listing]:
    """Return a queue that grows by one with each answer of a kubelet."""
    answers: asyncio.Queue[Listing] = asyncio.Queue()

    async def ask(pod_resources: Path, checkpoint: CheckpointFile) -> Listing | None:
        listing = await ask_kubelet(pod_resources, checkpoint)
        if listing:
            answers.put_nowait(listing)
        return listing

    monkeypatch.setattr(usage, "ask_kubelet", ask)
    return answers


async def more(looks: asyncio.Queue[Listing], count: int = 3) -> Listing:
    """Wait for so many more answers than there were, and return the last."""
    for _ in range(looks.qsize() + count):
        async with patience(8):
            listing = await looks.get()
    return listing


async def test_a_list_without_a_pod_frees_nothing_while_the_checkpoint_is_old(
    kind: Kind, looks: asyncio.Queue[Listing], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet has forgotten the pod, or never knew it: only what it writes then tells."""
    monkeypatch.setattr(usage.UsageWatch, "_freshen", lambda *_: None)
    async with backends_stage(kind) as play:
        pod, agent = await waiting(play)
        await more(looks)
        play.kubelet.terminate(pod)
        listing = await more(looks)
        assert (THING, "dev:t0") not in listing.held
        assert play.health(TWIN) == {"dev:u0": "Unhealthy"}
        agent.agent._pools()[0].repeat()
        await play.listed(TWIN, 1)


async def test_a_kubelet_that_does_not_know_its_pods_yet_frees_nothing(
    kind: Kind, looks: asyncio.Queue[Listing]
) -> None:
    """Its list is empty for seconds after its start (R47)."""
    async with backends_stage(kind) as play:
        pod, _ = await waiting(play)
        await more(looks, 2)
        await play.kubelet.stop()
        await play.kubelet.start(running={(pod.uid, "c0")}, ready=False)
        assert (await more(looks)).held == {}
        await play.refuses(TWIN)
        await play.kubelet.readmit(running=True)
        await play.kubelet.remove(pod)
        await play.listed(TWIN, 1)


async def test_devices_that_one_container_has_stay_as_healthy_as_they_were(
    kind: Kind, looks: asyncio.Queue[Listing]
) -> None:
    """Its answer names all nodes for each of them; a sick device would cost the pod a reboot."""
    async with backends_stage(kind) as play:
        for number in range(3):
            play.node(f"/dev/t{number}", number)
        agent = play.start(custom(files(THING, "/dev/t*")))
        await play.listed(THING, 3)
        await play.given(THING, 2)
        async with patience(8):
            while not (await looks.get()).held:
                pass
        await agent.reload(**custom(files(THING, "/dev/t*"), files(TWIN, "/dev/u*")))
        await play.kubelet.until(lambda: play.allocatable(TWIN) == 0)
        assert play.allocatable(THING) == 3


@timed
async def test_what_somebody_waits_for_is_free_soon_after_its_pod_has_ended(kind: Kind) -> None:
    """A pod that is moved to another resource of the same hardware starts in no time."""
    async with backends_stage(kind) as play:
        pod, _ = await waiting(play)
        await play.kubelet.until(lambda: play.health(TWIN) == {"dev:u0": "Unhealthy"})
        await play.kubelet.remove(pod)
        ended = time.monotonic()
        await play.listed(TWIN, 1)
        assert time.monotonic() - ended < on_this_machine(3.5)
        await play.given(TWIN)


async def test_a_pod_deleted_by_force_holds_its_device_as_long_as_it_has_processes() -> None:
    """The kubelet gives no sign of it any more; the host does."""
    async with backends_stage() as play:
        pod, _ = await waiting(play)
        kubelet = play.kubelet
        assert isinstance(kubelet, Kubelet)
        await kubelet.until(lambda: play.health(TWIN) == {"dev:u0": "Unhealthy"})
        kubelet.forget(pod)
        seen = len(kubelet.journal.of("list"))
        await kubelet.until(lambda: len(kubelet.journal.of("list")) > seen + 3)
        await play.refuses(TWIN)
        kubelet.end_containers(pod)
        await play.listed(TWIN, 1)
