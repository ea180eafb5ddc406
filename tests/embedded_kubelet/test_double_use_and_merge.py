"""Two resources in one container, and one device in two hands."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import Capacity, Kubelet, Order, Pod
from nodeplug.testing.kubelet.devices import Allocation
from nodeplug.testing.kubelet.double_use import find_double_use, without_replica
from support.scripted import RESOURCE, Scene, ScriptedPlugin, scene

H = "Healthy"
OTHER = "example.com/other"
BOTH = {RESOURCE: 1, OTHER: 1}


@asynccontextmanager
async def two(first: str = "a", second: str = "b") -> AsyncGenerator[tuple[Scene, ScriptedPlugin]]:
    """Serve one device of each of two resources."""
    async with scene() as play:
        await play.serve(**{first: H})
        other = ScriptedPlugin(play.directory, OTHER, "b.sock")
        other.send(**{second: H})
        await other.start()
        try:
            await other.register()
            await play.kubelet.until(lambda: play.kubelet.capacity(OTHER) == Capacity(1, 1))
            yield play, other
        finally:
            await other.stop()


def texts(kubelet: Kubelet) -> list[str]:
    """Return the violations, which are expected."""
    found = [violation.text for violation in kubelet.journal.violations]
    kubelet.journal.violations.clear()
    return found


async def test_one_device_under_two_resources_is_a_violation() -> None:
    """Even as another replica; it is told once."""
    async with two("x::0", "x::1") as (play, _):
        await play.kubelet.admit(Pod.of(BOTH))
        await play.kubelet.admit(Pod.of())
        (text,) = texts(play.kubelet)
        assert text == f"device x is allocated as each of {sorted(BOTH)}"


async def test_a_test_can_say_which_ids_are_one_device() -> None:
    """Ids of different makers may be equal by chance, or differ for the same device."""
    async with two("x", "x") as (play, _):
        play.kubelet.physical = lambda resource, device_id: (resource, device_id)
        await play.kubelet.admit(Pod.of(BOTH))
        unrelated = texts(play.kubelet)
        play.kubelet.physical = lambda _resource, _id: "the only board"
        await play.kubelet.admit(Pod.of())
        assert (unrelated, len(texts(play.kubelet))) == ([], 1)


async def test_replicas_of_one_device_may_be_in_many_pods() -> None:
    """That is what they are for; and only a number makes a replica."""
    async with scene() as play:
        await play.serve(**{"x::0": H, "x::1": H, "y::z": H})
        for _ in range(3):
            await play.kubelet.admit(Pod.of({RESOURCE: 1}))
        assert texts(play.kubelet) == []
    assert without_replica(RESOURCE, "y::z") == "y::z"


def test_one_id_in_two_pods_is_double_use() -> None:
    """As after a lost checkpoint (R32); containers of one pod may share."""

    def held(pod: str, container: str) -> Allocation:
        answer = api.ContainerAllocateResponse()
        return Allocation(pod, container, RESOURCE, frozenset({"a"}), {}, answer)

    shared = [held("p", "init"), held("p", "app")]
    found = list(find_double_use([*shared, held("q", "app")], without_replica))
    assert found == [f"device a of {RESOURCE} is allocated to each of ['p', 'q']"]
    assert list(find_double_use(shared, without_replica)) == []


async def test_which_of_two_contradicting_resources_wins_is_a_matter_of_luck() -> None:
    """R60: another order, another winner; the same seed, the same one."""
    async with two() as (play, other):
        play.plugin.answer = [api.ContainerAllocateResponse(envs={"A": "1"})]
        other.answer = [api.ContainerAllocateResponse(envs={"A": "2"})]
        pod = Pod.of(BOTH)
        await play.kubelet.admit(pod)
        winners = []
        for seed in [*range(10), *range(10)]:
            play.kubelet.order = Order(seed)
            winners.append(play.kubelet.run_options(pod, "c0").envs["A"])
        assert set(winners) == {"1", "2"}
        assert winners[:10] == winners[10:]


@pytest.mark.parametrize("kind", ["mounts", "devices"])
async def test_one_container_path_has_one_source(kind: str) -> None:
    """R60: the first; the other is skipped, as the log would say."""
    async with two() as (play, other):
        for plugin, path in ((play.plugin, "/first"), (other, "/second")):
            response = api.ContainerAllocateResponse()
            getattr(response, kind).add(host_path=path, container_path="/in")
            plugin.answer = [response]
        runs = await play.kubelet.admit(Pod.of(BOTH))
        assert [entry.host_path for entry in getattr(runs["c0"], kind).values()] == ["/first"]
        assert runs["c0"].skipped == [f"{kind[:-1]} /in"]


async def test_equal_cdi_names_are_one() -> None:
    """R60: silently."""
    async with two() as (play, other):
        names = [api.CDIDevice(name="a.b/c=d")]
        play.plugin.answer = other.answer = [api.ContainerAllocateResponse(cdi_devices=names)]
        runs = await play.kubelet.admit(Pod.of(BOTH))
        assert (runs["c0"].cdi_devices, runs["c0"].skipped) == (["a.b/c=d"], [])
