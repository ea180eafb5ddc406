"""Which live containers got which hardware, from the moment of the answer on."""

from collections.abc import Collection, Iterable, Iterator

from nodeplug.testing.kubelet.devices import Allocation
from nodeplug.testing.kubelet.double_use import Got, find_collisions
from nodeplug.testing.kubelet.sight import Eye


class Witness:
    """Remembers what each container got, whatever becomes of the paths, until its pod has ended.

    A pod whose object is gone while its containers live is remembered as such.
    """

    def __init__(self, eye: Eye) -> None:
        self._eye = eye
        self._got: dict[tuple[str, str, str], Got] = {}

    def see(self, allocations: Iterable[Allocation], live: Collection[str]) -> Iterator[str]:
        """Look at what is new of these pods' answers; yield a text for each double use."""
        for each in allocations:
            key = each.pod, each.container, each.resource
            if each.pod in live and not self._knows(key, each):
                got = self._got[key] = self._look(each)
                yield from find_collisions(got, self._got.values())

    def forget(self, pod: str) -> None:
        """Note that a pod's object is gone while its containers live."""
        of_pod = {key: got.forgotten() for key, got in self._got.items() if key[0] == pod}
        self._got |= of_pod

    def end(self, pods: Collection[str] | None = None) -> None:
        """Note that the containers of these pods, or of all, have ended."""
        kept = {} if pods is None else {k: g for k, g in self._got.items() if k[0] not in pods}
        self._got = kept

    def _knows(self, key: tuple[str, str, str], allocation: Allocation) -> bool:
        got = self._got.get(key)
        return got is not None and (got.ids, got.answer) == (allocation.ids, _bytes(allocation))

    def _look(self, allocation: Allocation) -> Got:
        seen = self._eye.look(allocation.response)
        return Got(allocation.pod, allocation.resource, allocation.ids, seen, _bytes(allocation))


def _bytes(allocation: Allocation) -> bytes:
    return allocation.response.SerializeToString(deterministic=True)
