"""Whether a pod has processes, as the kernel's control groups tell."""

import os
import re
from collections.abc import Iterator

from nodeplug.host.root import HostRoot
from nodeplug.host.shortage import refuse_shortage
from nodeplug.host.sysfs import read_text

# The API server makes UUIDs, the kubelet 32 hexadecimal digits for static pods (pkg/kubelet/config/
# common.go); the manifest of a static pod may give any other. A "_" would end the kubelet
# (pkg/kubelet/cm/cgroup_manager_linux.go, NewCgroupName).
_UID = re.compile(r"[A-Za-z0-9-]{1,128}")
_CLASSES = ("", "burstable", "besteffort")
# How far below the root of a hierarchy the kubelet's --cgroup-root is looked for.
_ROOT_DEPTH = 2


def pod_lives(root: HostRoot, uid: str) -> bool | None:
    """Return whether a pod has processes: False where it has no cgroup or an empty one.

    None where that cannot be seen: where the host has no cgroup "kubepods", which is so for a
    kubelet with --cgroups-per-qos=false and in the private cgroup namespace of a container, or
    where the pod's cgroup is as empty as those of all other pods. The latter happens where the
    kubelet's cgroup driver is systemd and that of the container runtime is not: containers then
    are in the runtime's own cgroup. A pod that the kubelet has admitted but not started yet has
    no processes either. Also None for what is no uid.

    Names are those of the kubelet (kubernetes 1.37, pkg/kubelet/cm: pod_container_manager_linux.go,
    qos_container_manager_linux.go, and cgroup_manager_linux.go with ToSystemd and ToCgroupfs), in
    cgroups of version 2, or in any hierarchy of version 1. Blocks.
    """
    if not _UID.fullmatch(uid):
        return None
    answer = None
    for kubepods in _kubepods(f"{root.sys}/fs/cgroup"):
        groups = [group for group in _pod_groups(kubepods, uid) if os.path.isdir(group)]  # noqa: PTH112 - far quicker
        if any(map(_populated, groups)):
            return True
        if not groups or _populated(kubepods):
            answer = False
    return answer


def pod_is_gone(root: HostRoot, uid: str) -> bool:
    """Return whether the host shows the cgroups of pods, and none at all of this one.

    That of a pod which waits for its volumes is empty: such a pod is not gone. The kubelet makes
    the cgroup first and removes it last; see `pod_lives` for where this cannot be seen. Blocks.
    """
    if not _UID.fullmatch(uid):
        return False
    seen = [*_kubepods(f"{root.sys}/fs/cgroup")]
    groups = (group for kubepods in seen for group in _pod_groups(kubepods, uid))
    return bool(seen) and not any(map(os.path.isdir, groups))


def _kubepods(top: str) -> Iterator[str]:
    """Yield the cgroups that all pods are in, those nearest to the top first.

    Version 1 has a hierarchy for each controller, in a folder of its own.
    """
    version_2 = os.path.exists(f"{top}/cgroup.controllers")  # noqa: PTH110 - as above
    folders = [top]
    for _ in range((0 if version_2 else 1) + _ROOT_DEPTH + 1):
        inner = []
        for folder in folders:
            for name in _folders(folder):
                if name in _kubepods_names(folder):
                    yield f"{folder}/{name}"
                elif not name.endswith((".scope", ".service")):  # systemd's leaves
                    inner.append(f"{folder}/{name}")
        folders = inner


def _kubepods_names(parent: str) -> tuple[str, ...]:
    """Return the names of the cgroup of all pods: of the driver cgroupfs, and of systemd."""
    name = parent.rpartition("/")[2]
    within = f"{name.removesuffix('.slice')}-" if name.endswith(".slice") else ""
    return "kubepods", f"{within}kubepods.slice"


def _pod_groups(kubepods: str, uid: str) -> Iterator[str]:
    """Yield where a pod's cgroup may be: guaranteed pods are directly in kubepods."""
    name = kubepods.rpartition("/")[2]
    for each in _CLASSES:
        if name.endswith(".slice"):
            steps = [name.removesuffix(".slice"), *([each] if each else [])]
            inner = f"/{'-'.join(steps)}.slice" if each else ""
            yield f"{kubepods}{inner}/{'-'.join(steps)}-pod{uid.replace('-', '_')}.slice"
        else:
            yield f"{kubepods}{'/' if each else ''}{each}/pod{uid}"


def _populated(group: str) -> bool:
    """Return whether a cgroup or one below it has processes; version 1 tells only of itself."""
    events = read_text(f"{group}/cgroup.events")
    if events is not None:
        return "populated 1" in events.split("\n")
    if read_text(f"{group}/cgroup.procs"):
        return True
    return any(_populated(f"{group}/{name}") for name in _folders(group))


def _folders(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError as error:
        refuse_shortage(error)
        return []
