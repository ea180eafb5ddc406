"""Claims about telling from control groups whether a pod lives."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nodeplug.host.cgroups import pod_is_gone, pod_lives
from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import ShortageError
from support.limited import without_descriptors
from support.mounts import can_mount_in_namespace, mounted
from support.needs import require

UID = "0b6c3e1a-2f4d-4b1c-9a57-0e8d1f2a3b4c"
OTHER = "1b6c3e1a-2f4d-4b1c-9a57-0e8d1f2a3b4c"
STATIC = "3f2504e04f8911d39a0c0305e82c3301"
DRIVERS = {
    "guaranteed, systemd": "kubepods.slice/kubepods-pod{_}.slice",
    "burstable, systemd": "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{_}.slice",
    "best effort, systemd": (
        "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{_}.slice"
    ),
    "guaranteed, cgroupfs": "kubepods/pod{uid}",
    "burstable, cgroupfs": "kubepods/burstable/pod{uid}",
    "best effort, cgroupfs": "kubepods/besteffort/pod{uid}",
    "kind": (
        "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
        "kubelet-kubepods-besteffort-pod{_}.slice"
    ),
    "kind, guaranteed": "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{_}.slice",
    "below a group": "kubelet/kubepods/burstable/pod{uid}",
    "below two groups": "a/b/kubepods/pod{uid}",
    "below two slices": "a.slice/a-b.slice/a-b-kubepods.slice/a-b-kubepods-pod{_}.slice",
}
PLACES = [pytest.param(place, id=name) for name, place in DRIVERS.items()]


def group(place: str, uid: str) -> str:
    return place.format(uid=uid, _=uid.replace("-", "_"))


class Groups:
    """A host's /sys/fs/cgroup, made of files."""

    def __init__(self, folder: Path) -> None:
        self.root = HostRoot(folder)
        self.top = self.root.sys / "fs/cgroup"
        self.top.mkdir(parents=True)

    def version_2(self, place: str, *, populated: bool) -> Path:
        """Add a group, with the events of all above it."""
        (self.top / "cgroup.controllers").write_text("cpu memory pids\n")
        folder = self.top / place
        folder.mkdir(parents=True, exist_ok=True)
        for each in [folder, *folder.parents]:
            if each == self.top:
                return folder
            if populated or not (each / "cgroup.events").exists():
                (each / "cgroup.events").write_text(f"populated {int(populated)}\nfrozen 0\n")
        raise AssertionError

    def version_1(self, controller: str, place: str, processes: str = "") -> None:
        """Add a group to the hierarchy of a controller."""
        folder = self.top / controller / place
        folder.mkdir(parents=True, exist_ok=True)
        for each in [folder, *folder.parents]:
            if each == self.top:
                break
            (each / "cgroup.procs").touch()
        (folder / "cgroup.procs").write_text(processes)

    def lives(self, uid: str = UID) -> bool | None:
        return pod_lives(self.root, uid)


@pytest.fixture
def groups(tmp_path: Path) -> Groups:
    return Groups(tmp_path)


@pytest.mark.parametrize("uid", [UID, STATIC])
@pytest.mark.parametrize("place", PLACES)
def test_a_pod_with_processes_lives(groups: Groups, place: str, uid: str) -> None:
    """Each driver and class has names of its own; static pods have uids of theirs."""
    groups.version_2(group(place, uid), populated=True)
    assert groups.lives(uid) is True


@pytest.mark.parametrize("place", PLACES)
def test_a_pod_without_processes_does_not_live(groups: Groups, place: str) -> None:
    """The kubelet removes the cgroup some time after the last container."""
    groups.version_2(group(place, OTHER), populated=True)
    groups.version_2(group(place, UID), populated=False)
    assert groups.lives() is False


@pytest.mark.parametrize("place", PLACES)
def test_a_pod_without_a_cgroup_does_not_live(groups: Groups, place: str) -> None:
    """Whether or not there are other pods: the kubelet makes it first and removes it last."""
    groups.version_2(group(place, OTHER), populated=True)
    assert groups.lives() is False
    groups.version_2(f"{group(place, OTHER)}", populated=False)
    assert groups.lives() is False


@pytest.mark.parametrize("place", PLACES)
def test_a_child_of_a_process_group_lives_in_version_1(groups: Groups, place: str) -> None:
    """A container is a cgroup below its pod's, and version 1 lists the processes of one only."""
    groups.version_1("pids", f"{group(place, UID)}/container", "4711\n")
    assert groups.lives() is True


@pytest.mark.parametrize("place", PLACES)
def test_a_pod_without_processes_does_not_live_in_version_1(groups: Groups, place: str) -> None:
    """In none of the hierarchies, that is."""
    for controller in ("memory", "pids", "systemd"):
        groups.version_1(controller, f"{group(place, OTHER)}/container", "4711\n")
        groups.version_1(controller, f"{group(place, UID)}/container")
    assert groups.lives() is False


@pytest.mark.parametrize("controller", ["cpu,cpuacct", "memory", "pids", "systemd", "unified"])
def test_any_hierarchy_of_version_1_tells(groups: Groups, controller: str) -> None:
    """Not every kernel has every controller, and a runtime may use some of them only."""
    place = group(DRIVERS["burstable, cgroupfs"], UID)
    for each in ("cpuset", "zzz"):
        groups.version_1(each, place)
    groups.version_1(controller, place, "0\n")
    assert groups.lives() is True


def test_without_cgroups_nothing_is_known(tmp_path: Path) -> None:
    """The host's /sys may not be mounted."""
    assert pod_lives(HostRoot(tmp_path), UID) is None


@pytest.mark.parametrize("place", ["system.slice/a.service", "system.slice/cri-1.scope", "kubepod"])
def test_without_pods_nothing_is_known(groups: Groups, place: str) -> None:
    """In a private cgroup namespace a container sees its own groups only."""
    groups.version_2(place, populated=True)
    assert groups.lives() is None


def test_where_every_pod_is_empty_nothing_is_known(groups: Groups) -> None:
    """A runtime with another cgroup driver than the kubelet's has the containers elsewhere."""
    for uid in (UID, OTHER):
        groups.version_2(group(DRIVERS["burstable, systemd"], uid), populated=False)
    aside = f"system.slice/containerd.service/kubepods-burstable-pod{UID}.slice:cri-containerd:1"
    groups.version_2(aside, populated=True)
    assert groups.lives() is None


def test_a_group_of_pods_left_behind_hides_no_other(groups: Groups) -> None:
    """After a change of the driver both names may be there."""
    groups.version_2("kubepods", populated=False)
    groups.version_2("kubepods.slice", populated=False)
    groups.version_2(group(DRIVERS["kind"], UID), populated=True)
    assert groups.lives() is True


@pytest.mark.parametrize(
    "uid", ["", "..", "a/b", "../../../x", "a_b", "a\n", "a\0b", "a b", "*", "x" * 129, "{uid}"]
)
def test_what_is_no_uid_is_not_looked_for(groups: Groups, uid: str) -> None:
    """It comes from outside and would become a path."""
    groups.version_2("kubepods/pod1", populated=True)
    assert groups.lives(uid) is None


@pytest.mark.parametrize("place", PLACES)
def test_a_pod_is_gone_when_it_has_no_cgroup_at_all(groups: Groups, place: str) -> None:
    """One without processes may have been admitted and wait for its volumes."""
    groups.version_2(group(place, OTHER), populated=True)
    assert pod_is_gone(groups.root, UID)
    groups.version_2(group(place, UID), populated=False)
    assert not pod_is_gone(groups.root, UID)


@pytest.mark.parametrize("left", ["memory", "zzz"])
def test_a_cgroup_of_one_hierarchy_is_enough_to_be_there(groups: Groups, left: str) -> None:
    """Version 1 has several, and the kubelet removes them one after the other."""
    place = DRIVERS["burstable, cgroupfs"]
    for controller in ("memory", "pids", "zzz"):
        groups.version_1(controller, group(place, OTHER))
    assert pod_is_gone(groups.root, UID)
    groups.version_1(left, group(place, UID))
    assert not pod_is_gone(groups.root, UID)


@pytest.mark.parametrize("place", ["system.slice/a.service", "kubepod"])
def test_where_pods_cannot_be_seen_none_is_gone(groups: Groups, place: str) -> None:
    """Or everything that is in use would seem to be free."""
    assert not pod_is_gone(groups.root, UID)
    groups.version_2(place, populated=True)
    assert not pod_is_gone(groups.root, UID)


@pytest.mark.parametrize("uid", ["", "..", "a/b", "a\0b", "x" * 129])
def test_what_is_no_uid_is_not_gone(groups: Groups, uid: str) -> None:
    """Nothing is known of it."""
    groups.version_2("kubepods/pod1", populated=True)
    assert not pod_is_gone(groups.root, uid)


@contextmanager
def process() -> Iterator[str]:
    """Give the id of a process to put into a group."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as running:
        try:
            yield str(running.pid)
        finally:
            running.terminate()


@contextmanager
def true_groups(folder: Path, kind: str, options: str) -> Iterator[Path]:
    """Give a cgroup of the kernel's in which there is room for others."""
    require(os.geteuid() == 0 and can_mount_in_namespace(), "mounting cgroups needs root")
    with mounted(kind, folder, options):
        own = folder / f"nodeplug-{os.urandom(4).hex()}"
        own.mkdir()
        try:
            yield own
        finally:
            for place, _, _ in os.walk(own, topdown=False):
                Path(place).rmdir()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("version", [1, 2])
def test_the_kernel_tells_of_a_true_group(tmp_path: Path, place: str, version: int) -> None:
    """No groups, another's, both empty, a process in the pod's, and that moved to the other's."""
    name = f"none,name=nodeplug-{os.urandom(4).hex()}"
    kind, options, inner = ("cgroup", name, "systemd/") if version == 1 else ("cgroup2", "rw", "")
    (tmp_path / "sys/fs").mkdir(parents=True)
    with true_groups(tmp_path / "mounted", kind, options) as own, process() as pid:
        (tmp_path / "sys/fs/cgroup").symlink_to(own)
        pod, other = (own / f"{inner}{group(place, uid)}/container" for uid in (UID, OTHER))
        seen = [pod_lives(HostRoot(tmp_path), UID)]
        for change in (other, pod):
            change.mkdir(parents=True)
            seen.append(pod_lives(HostRoot(tmp_path), UID))
        for into in (pod, other):
            (into / "cgroup.procs").write_text(pid)
            seen.append(pod_lives(HostRoot(tmp_path), UID))
    assert seen == [None, False, None, True, False]


def test_who_can_open_nothing_takes_no_pod_for_ended(groups: Groups) -> None:
    """Its devices would be given to others."""
    groups.version_2(group(DRIVERS["guaranteed, cgroupfs"], UID), populated=True)
    with pytest.raises(ShortageError), without_descriptors():
        groups.lives()
