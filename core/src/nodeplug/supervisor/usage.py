"""Keeps the record of devices in use up to date."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from nodeplug.holdings import Holdings, Key, Listing, Record
from nodeplug.host.calls import call
from nodeplug.host.ledger import Ledger, LedgerBusyError
from nodeplug.kubelet.evidence import CHECKPOINT, ask_kubelet, read_checkpoint
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.pool import ResourcePool
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.values.hardware import NO_USES, Uses

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
# What the host does not say by then is left out of account.
_HOST_SECONDS = 5.0

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")

_log = logging.getLogger("nodeplug.supervisor")


class UsageWatch:
    """Asks the kubelet what is in use, as long as the answer could change anything.

    `where` are its pod resources socket and its device plugin directory, `table` is what is known
    of use, here and among all agents.
    """

    def __init__(
        self,
        where: tuple[Path, Path],
        watch: KubeletWatch,
        table: tuple[Holdings, Ledger],
        look: HardwareLook,
        pools: Callable[[], Iterable[ResourcePool]],
    ) -> None:
        self._pod_resources, self._plugin_dir = where
        self._watch = watch
        self._holdings, self._ledger = table
        self._hardware = look
        self._named: dict[Key, tuple[frozenset[str] | None, Uses]] = {}
        self._pools = pools
        self._pause = _PAUSE
        self._repeated = 0.0
        self._doubtful: dict[Key, float] = {}

    async def look_once(self) -> None:
        """Learn what was in use before this process started: what is written down counts, too.

        The kubelet may not answer soon, or not know its pods yet.
        """
        records = read_checkpoint(self._plugin_dir / CHECKPOINT).records or {}
        self._holdings.presume(records, await self._uses(records))
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
        self._holdings.observe(await self._completed(listing))
        for pool in self._pools():
            pool.recheck()
        self._freshen(self._holdings.awaiting_write())
        await self._tell_others()

    async def _tell_others(self) -> None:
        """Take from the ledger what is free; a lock that is held waits until the next look."""
        held = self._holdings.uses_of_holds()
        if self._ledger.own.keys() <= held.keys():
            return
        with suppress(LedgerBusyError):
            async with self._ledger.turn() as news:
                self._holdings.learn(news)
                self._ledger.append(self._holdings.ended(list(self._ledger.own.values())))
                self._ledger.compact(lambda entry: entry.key in held)

    async def _completed(self, listing: Listing) -> Listing:
        """Return a listing with what the host says of it."""
        uses = await self._uses(listing.recorded or {})
        pods = {uid for uids in self._holdings.suspects().values() for uid in uids}
        alive = await self._ask_host(self._hardware.alive, pods) if pods else None
        return replace(listing, uses=uses, alive=alive or frozenset())

    async def _uses(self, records: Mapping[Key, Record]) -> Mapping[Key, Uses]:
        """Return what hardware answers name; each is looked at once, as long as it is the same."""
        self._named = {key: self._named[key] for key in self._named.keys() & records.keys()}
        new = {
            key: record
            for key, record in records.items()
            if key not in self._named or self._named[key][0] != record.paths
        }
        if any(record.paths for record in new.values()):
            found = await self._ask_host(self._hardware.of_records, new)
            if found is None:
                return {key: uses for key, (_, uses) in self._named.items()}
        else:
            found = {}
        for key, record in new.items():
            self._named[key] = record.paths, found.get(key, NO_USES)
        return {key: uses for key, (_, uses) in self._named.items() if uses}

    async def _ask_host(self, method: Callable[[_Asked], _Answer], asked: _Asked) -> _Answer | None:
        try:
            return await call(method, asked, timeout=_HOST_SECONDS)
        except (OSError, TimeoutError) as error:
            _log.warning("hardware not looked at", extra={"nodeplug": {"error": repr(error)}})
            return None

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
