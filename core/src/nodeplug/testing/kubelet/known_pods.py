"""The pods that the kubelet knows."""

from collections.abc import Mapping

from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.pods import Pod


class KnownPods:
    """Pods by their uid. One that has ended keeps its devices until they are freed (R47)."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}
        self._ended: set[str] = set()

    @property
    def by_uid(self) -> Mapping[str, Pod]:
        """All, those too whose devices are not freed yet."""
        return self._pods

    @property
    def active(self) -> list[Pod]:
        """Those that have not ended."""
        return [pod for uid, pod in self._pods.items() if uid not in self._ended]

    def add(self, *pods: Pod) -> None:
        """Take in pods."""
        self._pods.update({pod.uid: pod for pod in pods})

    def end(self, pod: Pod) -> None:
        """Let a pod's containers end."""
        self._ended.add(pod.uid)

    def free(self, tables: DeviceTables, *coming: Pod) -> None:
        """Free what pods have that ended or were never added; those that come keep theirs."""
        spared = {pod.uid for pod in coming} - self._ended
        self._pods = {pod.uid: pod for pod in self.active}
        self._ended.clear()
        tables.free(self._pods.keys() | spared)
