"""How many devices a node has to give, over time."""

import asyncio
import time
from itertools import pairwise

from kubelets.kinds import AnyKubelet


class Allocatable:
    """What the kubelet's GetCapacity says of a resource, whenever that changes."""

    def __init__(self, kubelet: AnyKubelet, resource: str) -> None:
        self._kubelet, self._resource = kubelet, resource
        self._seen: list[tuple[float, int]] = []
        self._task = asyncio.create_task(kubelet.until(self._note, 3600))

    def _note(self) -> bool:
        capacity = self._kubelet.capacity(self._resource)
        now = capacity.allocatable if capacity else 0
        if not self._seen or self._seen[-1][1] != now:
            self._seen.append((time.monotonic(), now))
        return False

    async def gaps(self) -> list[tuple[float, float]]:
        """Return from when to when there was none; watch no more."""
        self._task.cancel()
        await asyncio.wait({self._task})
        return [(at, later) for (at, count), (later, _) in pairwise(self._seen) if not count]
