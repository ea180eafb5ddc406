"""Two containers with one piece of hardware, whatever its ids and paths are."""

import os
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing import Capacity, Kubelet, Pod
from support.needs import require
from support.scripted import RESOURCE, Scene, ScriptedPlugin, scene

H = "Healthy"
OTHER = "example.com/other"


def names(path: str) -> list[api.ContainerAllocateResponse]:
    """Return an answer with one device node."""
    return [api.ContainerAllocateResponse(devices=[api.DeviceSpec(host_path=path)])]


def node(root: Path, path: str, minor: int, kind: int = stat.S_IFCHR) -> None:
    """Make a device node whose driver does not exist."""
    require(os.geteuid() == 0, "making device nodes needs root")
    place = root / path[1:]
    place.parent.mkdir(parents=True, exist_ok=True)
    os.mknod(place, kind | 0o600, os.makedev(240, minor))


def taken(kubelet: Kubelet) -> list[str]:
    """Return what is said to be given away twice, which is expected."""
    found = [violation.text.split(" is given")[0] for violation in kubelet.journal.violations]
    kubelet.journal.violations.clear()
    return found


@asynccontextmanager
async def two(root: Path, first: str, second: str) -> AsyncGenerator[Scene, None]:
    """Serve a device of each of two resources, with these nodes."""
    (root / "dev").mkdir(exist_ok=True)
    async with scene(host_root=root) as play:
        await play.serve(a=H)
        play.plugin.answer = names(first)
        other = ScriptedPlugin(play.directory, OTHER, "b.sock")
        other.answer = names(second)
        other.send(b=H)
        await other.start()
        try:
            await other.register()
            await play.kubelet.until(lambda: play.kubelet.capacity(OTHER) == Capacity(1, 1))
            yield play
        finally:
            await other.stop()


async def both(play: Scene) -> list[str]:
    """Admit a pod for each; return what is given away twice."""
    for resource in (RESOURCE, OTHER):
        await play.kubelet.admit(Pod.of({resource: 1}))
    return taken(play.kubelet)


async def test_two_nodes_of_one_number_are_one_device(tmp_path: Path) -> None:
    """Drivers go by the number, whatever the file is called."""
    node(tmp_path, "/dev/one", 7)
    node(tmp_path, "/dev/twin", 7)
    async with two(tmp_path, "/dev/one", "/dev/twin") as play:
        assert await both(play) == ["char 240:7"]


async def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    """On the host: an absolute link does not lead out of the host's root."""
    async with two(tmp_path, "/dev/one", "/dev/link") as play:
        (tmp_path / "dev/one").touch()
        (tmp_path / "dev/link").symlink_to("/dev/one")
        found = (tmp_path / "dev/one").stat()
        assert await both(play) == [f"file {found.st_dev}:{found.st_ino}"]


async def test_different_hardware_is_no_double_use(tmp_path: Path) -> None:
    """Nor is hardware that nobody can see."""
    node(tmp_path, "/dev/one", 7)
    node(tmp_path, "/dev/two", 8)
    async with two(tmp_path, "/dev/one", "/dev/two") as play:
        assert await both(play) == []


async def test_a_container_has_what_it_was_given_wherever_the_link_leads_now(
    tmp_path: Path,
) -> None:
    """A node in a container stays the device that it was made for."""
    for name in ("one", "two"):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / "dev" / name).touch()
    link = tmp_path / "dev/link"
    link.symlink_to("one")
    async with two(tmp_path, "/dev/link", "/dev/one") as play:
        await play.kubelet.admit(Pod.of({RESOURCE: 1}))
        link.unlink()
        link.symlink_to("two")
        await play.kubelet.admit(Pod.of({OTHER: 1}))
        assert len(taken(play.kubelet)) == 1


async def test_a_node_is_free_once_its_pod_has_ended(tmp_path: Path) -> None:
    """Its devices are freed later, but nobody uses them (R47)."""
    async with two(tmp_path, "/dev/one", "/dev/one") as play:
        (tmp_path / "dev/one").touch()
        pod = Pod.of({RESOURCE: 1})
        await play.kubelet.admit(pod)
        play.kubelet.terminate(pod)
        await play.kubelet.admit(Pod.of({OTHER: 1}))
        assert taken(play.kubelet) == []


async def test_containers_of_one_pod_may_share(tmp_path: Path) -> None:
    """Its author wanted it so."""
    async with two(tmp_path, "/dev/one", "/dev/one") as play:
        (tmp_path / "dev/one").touch()
        await play.kubelet.admit(Pod.of({RESOURCE: 1}, {OTHER: 1}))
        assert taken(play.kubelet) == []


async def test_a_pod_deleted_by_force_keeps_its_hardware_while_it_lives(tmp_path: Path) -> None:
    """The kubelet gives its id again, as it was told to; nobody else may give its hardware."""
    async with two(tmp_path, "/dev/one", "/dev/one") as play:
        (tmp_path / "dev/one").touch()
        groups = tmp_path / "sys/fs/cgroup/kubepods.slice"
        pod = Pod.of({RESOURCE: 1})
        await play.kubelet.admit(pod)
        play.kubelet.forget(pod)
        again = Pod.of({RESOURCE: 1})
        await play.kubelet.admit(again)
        assert taken(play.kubelet) == []
        await play.kubelet.remove(again)
        [group] = groups.iterdir()
        assert group.name == f"kubepods-pod{pod.uid.replace('-', '_')}.slice"
        assert "populated 1" in (group / "cgroup.events").read_text()
        late = Pod.of({OTHER: 1})
        await play.kubelet.admit(late)
        assert len(taken(play.kubelet)) == 1
        play.kubelet.end_containers(pod)
        await play.kubelet.remove(late)
        assert [*groups.iterdir()] == []
        assert await both(play) != []


async def test_replicas_of_one_device_share_its_node(tmp_path: Path) -> None:
    """And no other device does: the number has to be of the same one."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/one").touch()
    async with scene(host_root=tmp_path) as play:
        await play.serve(**{"x::0": H, "x::1": H, "y::0": H})
        play.plugin.answer = names("/dev/one")
        for _ in range(3):
            await play.kubelet.admit(Pod.of({RESOURCE: 1}))
        assert len(taken(play.kubelet)) == 2


async def test_what_is_made_for_many_may_be_had_by_many(tmp_path: Path) -> None:
    """As /dev/kvm."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/kvm").touch()
    async with two(tmp_path, "/dev/kvm", "/dev/kvm") as play:
        assert await both(play) == []


async def test_a_restarted_kubelet_does_not_make_anybody_forget_what_containers_have(
    tmp_path: Path,
) -> None:
    """Containers run on; after a loss of power none does."""
    async with two(tmp_path, "/dev/one", "/dev/one") as play:
        (tmp_path / "dev/one").touch()
        await play.kubelet.admit(Pod.of({RESOURCE: 1}))
        await play.kubelet.restart()
        other = ScriptedPlugin(play.directory, OTHER, "c.sock")
        other.answer = names("/dev/one")
        other.send(b=H)
        await other.start()
        await other.register()
        await play.kubelet.until(lambda: play.kubelet.capacity(OTHER) == Capacity(1, 1))
        await play.kubelet.admit(Pod.of({OTHER: 1}))
        assert len(taken(play.kubelet)) == 1
        await other.stop()
        await play.kubelet.lose_power()
        assert [*(tmp_path / "sys/fs/cgroup/kubepods.slice").iterdir()] == []
