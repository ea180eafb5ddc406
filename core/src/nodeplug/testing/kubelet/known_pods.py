"""The pods that are bound to the kubelet's node."""

from collections.abc import Mapping

from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.pods import Pod


class KnownPods:
    """Pods by their uid. One that has ended keeps its devices until they are freed (R47).

    A kubelet that starts hears of them one by one; until it is `ready` it frees nothing.
    """

    def __init__(self) -> None:
        self.ready = True
        self._bound: dict[str, Pod] = {}
        self._heard_of: set[str] = set()
        self._ended: set[str] = set()

    @property
    def bound(self) -> list[Pod]:
        """Those that have not ended, whether the kubelet has heard of them or not."""
        return [pod for uid, pod in self._bound.items() if uid not in self._ended]

    @property
    def by_uid(self) -> Mapping[str, Pod]:
        """All that the kubelet has heard of, those too that have ended."""
        return {uid: pod for uid, pod in self._bound.items() if uid in self._heard_of}

    @property
    def active(self) -> list[Pod]:
        """Those that it has heard of and that have not ended."""
        return [pod for pod in self.bound if pod.uid in self._heard_of]

    def begin(self, *, ready: bool) -> None:
        """Let the kubelet start: with all pods if it is ready, else with none."""
        self.ready = ready
        self._heard_of = {*self._bound} if ready else set()

    def add(self, *pods: Pod) -> None:
        """Take in pods."""
        self._bound.update({pod.uid: pod for pod in pods})
        self._heard_of.update(pod.uid for pod in pods)

    def end(self, pod: Pod) -> None:
        """Let a pod's containers end."""
        self._ended.add(pod.uid)

    def forget(self, pod: Pod) -> None:
        """Let a pod's object be deleted, whatever its containers do."""
        self._bound.pop(pod.uid, None)

    def free(self, tables: DeviceTables) -> None:
        """Free what pods have that are not active."""
        if self.ready:
            tables.free({pod.uid for pod in self.active})
