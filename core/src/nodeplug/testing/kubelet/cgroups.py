"""The control groups of pods that run, as files: what tells that a container lives."""

from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

_SLICE = "sys/fs/cgroup/kubepods.slice"
_EVENTS = "cgroup.events"


class Cgroups:
    """Pods' groups below a folder that stands for the host's root; none without it.

    They are named as a kubelet with the systemd driver names those of guaranteed pods.
    """

    def __init__(self, root: Path | None) -> None:
        self._slice = None if root is None else root / _SLICE

    def begin(self, pod: str) -> None:
        """Let a pod have processes."""
        if self._slice is not None:
            group = self._slice / _name(pod)
            group.mkdir(parents=True, exist_ok=True)
            (self._slice.parent / "cgroup.controllers").touch()
            (group / _EVENTS).write_text("populated 1\nfrozen 0\n")

    def end(self, pods: Collection[str] | None = None) -> None:
        """Let the groups of these pods, or of all, be gone."""
        groups = self._slice.glob("kubepods-pod*.slice") if self._slice else ()
        for group in list(groups):
            if pods is None or group.name in map(_name, pods):
                (group / _EVENTS).unlink(missing_ok=True)
                with suppress(FileNotFoundError):
                    group.rmdir()


def _name(pod: str) -> str:
    return f"kubepods-pod{pod.replace('-', '_')}.slice"
