"""What the embedded kubelet knows of the one before: what is in its checkpoint, and no more."""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.kubelet.evidence import read_checkpoint
from nodeplug.testing import AdmissionError, Kubelet, Pod
from support.scripted import RESOURCE, Scene, scene

H = "Healthy"
ONE = {RESOURCE: 1}
FILE = "kubelet_internal_checkpoint"
ANSWER = api.ContainerAllocateResponse(envs={"A": "1"})


def entry(pod: Pod, **changes: Any) -> dict[str, Any]:
    """Return what a kubelet writes of the device "a" in a pod's first container."""
    response = base64.b64encode(ANSWER.SerializeToString()).decode()
    return {
        "PodUID": pod.uid,
        "ContainerName": "c0",
        "ResourceName": RESOURCE,
        "DeviceIDs": {"-1": ["a"]},
        "AllocResp": response,
    } | changes


def put(directory: Path, *entries: object) -> None:
    """Leave a checkpoint as a real kubelet writes it."""
    data = {"PodDeviceEntries": entries, "RegisteredDevices": {RESOURCE: ["a"]}}
    directory.mkdir(exist_ok=True)
    (directory / FILE).write_text(json.dumps({"Data": data, "Checksum": 1}))


@asynccontextmanager
async def found(tmp_path: Path, *entries: object) -> AsyncGenerator[Kubelet]:
    """Start a kubelet that finds a checkpoint."""
    put(tmp_path, *entries)
    async with Kubelet(tmp_path) as kubelet:
        yield kubelet


async def restart_with(play: Scene, content: bytes) -> None:
    await play.kubelet.stop()
    (play.directory / FILE).write_bytes(content)
    await play.kubelet.start()


async def test_another_kubelet_in_the_directory_knows_what_pods_have() -> None:
    """R66: nothing but the file is between them."""
    async with scene() as play:
        play.plugin.answer = [ANSWER]
        await play.serve(a=H)
        pod = Pod.of(ONE)
        given = await play.kubelet.admit(pod)
        await play.kubelet.stop()
        async with Kubelet(play.directory) as other:
            assert await other.readmit(pod, running=True) == []
            assert {"c0": other.run_options(pod, "c0")} == given


async def test_numa_nodes_are_read_back(tmp_path: Path) -> None:
    """R66: a device on two nodes is under both, one on none is under -1."""
    pod = Pod.of({RESOURCE: 2})
    nodes = {"-1": ["b"], "0": ["a"], "1": ["a"]}
    async with found(tmp_path, entry(pod, DeviceIDs=nodes)) as kubelet:
        (allocation,) = kubelet._tables.allocations
        assert allocation.numa == {"a": (0, 1), "b": ()}


async def test_the_list_of_ids_of_old_kubelets_is_read(tmp_path: Path) -> None:
    """R66: before 1.20."""
    async with found(tmp_path, entry(Pod.of(ONE), DeviceIDs=["a", "b"])) as kubelet:
        assert kubelet.held(RESOURCE) == {"a", "b"}


async def test_what_no_pod_has_any_more_is_free_when_a_pod_wants_devices(tmp_path: Path) -> None:
    """R47: the file may name pods that went while no kubelet ran."""
    async with found(tmp_path, entry(Pod.of(ONE))) as kubelet:
        await kubelet.admit(Pod.of())
        assert kubelet.held(RESOURCE) == {"a"}
        with pytest.raises(AdmissionError, match="no healthy devices present"):
            await kubelet.admit(Pod.of(ONE))
        assert kubelet.held(RESOURCE) == set()


async def test_a_kubelet_without_a_file_knows_nothing() -> None:
    """As on a new node; that is no fault."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        await play.kubelet.stop()
        (play.directory / FILE).unlink()
        await play.kubelet.start()
        assert play.kubelet.held(RESOURCE) == set()
        assert play.kubelet.journal.of("checkpoint") == []


BROKEN = {
    "not JSON": b"\x00\xff",
    "cut off": b'{"Data":{"PodDeviceEntries":null,',
    "empty": b"",
    "wrong type": b'{"Data":{"PodDeviceEntries":[],"RegisteredDevices":[]}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
async def test_after_a_broken_file_nothing_is_known(content: bytes) -> None:
    """R32: the fault is noted, and the kubelet goes on."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        await restart_with(play, content)
        assert play.kubelet.held(RESOURCE) == set()
        assert len(play.kubelet.journal.of("checkpoint")) == 1


async def test_after_bad_base64_nothing_is_known(tmp_path: Path) -> None:
    """R32: it is part of the file's form."""
    good, bad = entry(Pod.of(ONE)), entry(Pod.of(ONE), AllocResp="?")
    async with found(tmp_path, good, bad) as kubelet:
        assert kubelet.held(RESOURCE) == set()
        assert len(kubelet.journal.of("checkpoint")) == 1


async def test_an_answer_that_cannot_be_decoded_costs_its_own_entry(tmp_path: Path) -> None:
    """R66: it is not part of the file's form."""
    bad = entry(Pod.of(ONE), AllocResp=base64.b64encode(b"\xff").decode(), DeviceIDs=["b"])
    async with found(tmp_path, entry(Pod.of(ONE)), bad) as kubelet:
        assert kubelet.held(RESOURCE) == {"a"}
        assert len(kubelet.journal.of("checkpoint")) == 1


async def test_a_lost_checkpoint_gives_a_device_away_twice() -> None:
    """R32: the plugin cannot tell."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        await restart_with(play, b"")
        await play.plugin.stop()
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        assert play.plugin.calls == [["a"], ["a"]]


async def test_pods_of_one_name_in_two_namespaces_are_two() -> None:
    """R66: the kubelet knows a pod by its uid."""
    async with scene() as play:
        await play.serve(a=H, b=H)
        pod = Pod.of(ONE)
        twin = Pod(pod.containers, pod.name, "other")
        await play.kubelet.admit(pod)
        await play.kubelet.admit(twin)
        await play.kubelet.remove(pod)
        assert play.kubelet.active_pods == [twin]
        assert len(play.kubelet.held(RESOURCE)) == 1


def block(play: Scene) -> None:
    """Let every further write of the checkpoint fail."""
    (play.directory / f".{FILE}.tmp").mkdir()


async def test_a_list_counts_though_it_cannot_be_written_down() -> None:
    """R3: the fault is noted."""
    async with scene() as play:
        block(play)
        await play.serve(a=H)
        assert "failed to write checkpoint" in play.kubelet.journal.of("checkpoint")[0].detail


async def test_a_pod_whose_devices_cannot_be_written_down_is_refused() -> None:
    """R66: after Allocate; nobody tells the plugin."""
    async with scene() as play:
        await play.serve(a=H)
        block(play)
        with pytest.raises(AdmissionError, match="failed to write checkpoint"):
            await play.kubelet.admit(Pod.of(ONE))
        assert play.plugin.calls == [["a"]]


async def test_the_agent_reads_what_the_kubelet_writes() -> None:
    """R66: so that both mean the same file."""
    async with scene() as play:
        await play.serve(a=H)
        await play.kubelet.admit(Pod.of(ONE))
        records = read_checkpoint(play.directory / FILE).records
        assert records is not None
        assert [*records] == [(RESOURCE, "a")]
