"""The pods that are bound to the kubelet's node."""

from collections.abc import Mapping

from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.pods import Pod


class KnownPods:
    """Pods by their uid. One that has ended keeps its devices until they are freed (R47).

    Until the kubelet is `ready` it does not know all its pods, and frees nothing.
    """

    def __init__(self) -> None:
        self.ready = True
        self._pods: dict[str, Pod] = {}
        self._ended: set[str] = set()

    @property
    def by_uid(self) -> Mapping[str, Pod]:
        """All, those too that have ended."""
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

    def forget(self, pod: Pod) -> None:
        """Let a pod's object be deleted, whatever its containers do."""
        self._pods.pop(pod.uid, None)

    def free(self, tables: DeviceTables) -> None:
        """Free what pods have that are not active."""
        if self.ready:
            tables.free({pod.uid for pod in self.active})
