"""Keeps the record of devices in use up to date."""

import asyncio
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from nodeplug.holdings import Holdings, Key
from nodeplug.kubelet.evidence import CHECKPOINT, ask_kubelet, read_checkpoint
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.pool import ResourcePool

# A kubelet that starts may not answer yet; its first answer is worth having soon.
_SHORTEST_PAUSE = 0.05
# R85: all clients of pod resources share 100 calls a second.
_PAUSE = 1.0
_LONGEST_PAUSE = 10.0
# The first list waits no longer than this for what was in use before our start.
_START_SECONDS = 1.0
# R26: a list that says nothing new costs the kubelet a write. A device that somebody waits for is
# worth one at every look for a minute, then so often.
_EAGER_SECONDS = 60.0
_REPEAT_SECONDS = 10.0


class UsageWatch:
    """Asks the kubelet what is in use, as long as the answer could change anything."""

    def __init__(
        self,
        pod_resources: Path,
        watch: KubeletWatch,
        plugin_dir: Path,
        holdings: Holdings,
        pools: Callable[[], Iterable[ResourcePool]],
    ) -> None:
        self._pod_resources = pod_resources
        self._watch = watch
        self._plugin_dir = plugin_dir
        self._holdings = holdings
        self._pools = pools
        self._pause = _PAUSE
        self._repeated = 0.0
        self._doubtful: dict[Key, float] = {}

    async def look_once(self) -> None:
        """Learn what was in use before this process started: what is written down counts, too.

        The kubelet may not answer soon, or not know its pods yet.
        """
        self._holdings.presume(read_checkpoint(self._plugin_dir / CHECKPOINT) or {})
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._look()
        except TimeoutError:
            return

    async def run(self) -> None:
        """Look whenever there is doubt, until cancelled.

        A kubelet that is back is asked at once, however long the last was silent, and whatever
        that one still owes.
        """
        async with asyncio.TaskGroup() as tasks:
            asking = tasks.create_task(self._ask())
            while True:
                identity = await self._watch.present()
                asking.cancel()
                self._pause = _SHORTEST_PAUSE
                self._holdings.doubt.set()
                asking = tasks.create_task(self._ask())
                await self._watch.gone(identity)

    async def _ask(self) -> None:
        while True:
            await self._holdings.doubt.wait()
            await self._look()
            await asyncio.sleep(self._pause)

    async def _look(self) -> None:
        listing = await ask_kubelet(self._pod_resources, self._plugin_dir)
        if listing is None:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return
        self._pause = _PAUSE
        self._holdings.observe(listing)
        for pool in self._pools():
            pool.recheck()
        self._freshen(self._holdings.only_recorded(listing))

    def _freshen(self, doubtful: AbstractSet[Key]) -> None:
        # R3, R47: the call has freed devices in the kubelet's memory, which is written down only
        # at the next list or allocation.
        now = time.monotonic()
        self._doubtful = {key: self._doubtful.get(key, now) for key in doubtful}
        eager = any(now - since < _EAGER_SECONDS for since in self._doubtful.values())
        if doubtful and (eager or now - self._repeated >= _REPEAT_SECONDS):
            self._repeated = now
            self._repeat({resource for resource, _ in doubtful})

    def _repeat(self, resources: AbstractSet[str]) -> None:
        # Each list makes the kubelet write down everything; not every resource is served any more.
        pools = list(self._pools())
        for pool in [pool for pool in pools if pool.resource in resources] or pools[:1]:
            pool.repeat()
