"""A pod that the kubelet was told to forget may run on; its cgroup tells."""

import asyncio
import shutil
from pathlib import Path

import pytest

from kubelets.kinds import Kind
from nodeplug.holdings import hold
from nodeplug.kubelet.evidence import CHECKPOINT, read_checkpoint
from nodeplug.supervisor import host_evidence
from nodeplug.testing import AdmissionError, Pod
from support.awkward.state import State
from support.stage import BOARD, Stage, stage

RENAMED = "awkward.example.com/board-renamed"
SICK = {"awk-board-0": "Unhealthy"}


def cgroup(play: Stage, pod: Pod) -> Path:
    """Make the cgroup of a pod that has processes, as the kubelet's systemd driver names it."""
    top = play.host.root / "sys/fs/cgroup"
    place = top / "kubepods.slice" / f"kubepods-pod{pod.uid.replace('-', '_')}.slice"
    place.mkdir(parents=True)
    (top / "cgroup.controllers").touch()
    (place / "cgroup.events").write_text("populated 1\nfrozen 0\n")
    return place


async def write(play: Stage) -> None:
    """Have the kubelet write its checkpoint anew: it does so at each list."""
    before = read_checkpoint(play.directory / CHECKPOINT).written
    play.agent._pools()[0].repeat()
    while read_checkpoint(play.directory / CHECKPOINT).written == before:  # noqa: ASYNC110 - files tell nobody
        await asyncio.sleep(0.01)


async def known(play: Stage) -> None:
    """Wait until the agent knows which pod has a device."""
    while not any(entry.pods for entry in play.agent._ledger.own.values()):  # noqa: ASYNC110 - a look tells nobody
        await asyncio.sleep(0.01)


async def assert_free_once_the_pod_ends(play: Stage, group: Path) -> None:
    """Look when the kubelet has no record of the pod: its processes hold the device still."""
    while read_checkpoint(play.directory / CHECKPOINT).records:
        await write(play)
    for _ in range(3):
        await play.agent._usage._look()
        await write(play)
    with pytest.raises(AdmissionError):
        await play.kubelet.admit(Pod.of({RENAMED: 1}))
    shutil.rmtree(group)
    await play.listed(RENAMED, allocatable=1)


async def test_a_pod_that_was_deleted_by_force_keeps_its_devices_while_it_lives(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From everybody but the kubelet itself, which may give them again under the same name."""
    monkeypatch.setattr(hold, "WRITE_SECONDS", 0.0)
    async with stage(State(boards=1), kind=kind) as play:
        pod = Pod.of({BOARD: 1})
        group = cgroup(play, pod)
        await play.kubelet.admit(pod)
        play.set(State(boards=1, renamed=("awk-board-0",)))
        await play.kubelet.until(lambda: play.kubelet.devices(RENAMED) == SICK, 5)
        await known(play)
        await play.kubelet.remove(pod)
        await assert_free_once_the_pod_ends(play, group)


async def test_a_pod_that_was_deleted_by_force_keeps_its_devices_without_pod_resources(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet is just starting, say: what lives is seen by the host all the same."""
    monkeypatch.setattr(hold, "WRITE_SECONDS", 0.0)
    async with stage(State(boards=1), kind=kind) as play:
        pod = Pod.of({BOARD: 1})
        group = cgroup(play, pod)
        await play.kubelet.admit(pod)
        play.set(State(boards=1, renamed=("awk-board-0",)))
        await play.kubelet.until(lambda: play.kubelet.devices(RENAMED) == SICK, 5)
        await known(play)
        play.pod_resources.rename(play.pod_resources.with_suffix(".away"))
        await play.kubelet.remove(pod)
        await assert_free_once_the_pod_ends(play, group)


async def test_without_pod_resources_what_a_pod_without_a_cgroup_had_is_free_at_last(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet still has it on record, and may have for long: it frees when it must."""
    monkeypatch.setattr(hold, "WRITE_SECONDS", 0.0)
    monkeypatch.setattr(host_evidence, "_STALE_SECONDS", 0.0)
    async with stage(State(boards=1), kind=kind) as play:
        pod = Pod.of({BOARD: 1})
        group = cgroup(play, pod)
        await play.kubelet.admit(pod)
        play.set(State(boards=1, renamed=("awk-board-0",)))
        await play.kubelet.until(lambda: play.kubelet.devices(RENAMED) == SICK, 5)
        await known(play)
        play.pod_resources.rename(play.pod_resources.with_suffix(".away"))
        await play.agent._usage._look()
        with pytest.raises(AdmissionError):
            await play.kubelet.admit(Pod.of({RENAMED: 1}))
        shutil.rmtree(group)
        await play.listed(RENAMED, allocatable=1)
        assert read_checkpoint(play.directory / CHECKPOINT).records


async def test_a_pod_that_was_deleted_by_force_is_known_to_the_next_agent(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kubelet has forgotten it; whose processes hold the device stands in the ledger."""
    monkeypatch.setattr(hold, "WRITE_SECONDS", 0.0)
    async with stage(State(boards=1), kind=kind) as play:
        pod = Pod.of({BOARD: 1})
        group = cgroup(play, pod)
        await play.kubelet.admit(pod)
        await known(play)
        await play.kubelet.remove(pod)
        await play.stop_agent(play.agents[0])
        play.set(State(boards=1, renamed=("awk-board-0",)))
        play.start_agent()
        await play.kubelet.until(lambda: play.kubelet.devices(RENAMED) == SICK, 5)
        await assert_free_once_the_pod_ends(play, group)
