"""Keeps the record of devices in use up to date."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from contextlib import suppress
from pathlib import Path

from nodeplug.holdings import Holdings, Key, Listing
from nodeplug.host.ledger import Ledger, LedgerBusyError, LedgerEntry
from nodeplug.kubelet.evidence import CheckpointFile, ask_kubelet
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.pool import ResourcePool
from nodeplug.supervisor.forgetting import Forgetting
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.supervisor.host_evidence import HostEvidence

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

_log = logging.getLogger("nodeplug.supervisor")


class UsageWatch:
    """Asks the kubelet what is in use, as long as the answer could change anything.

    `where` are its pod resources socket and its checkpoint, `table` is what is known of use, here
    and among all agents, and what somebody asks to forget.
    """

    def __init__(
        self,
        where: tuple[Path, CheckpointFile],
        watch: KubeletWatch,
        table: tuple[Holdings, Ledger, Forgetting],
        look: HardwareLook,
        pools: Callable[[], Iterable[ResourcePool]],
    ) -> None:
        self._pod_resources, self._checkpoint = where
        self._watch = watch
        self._holdings, self._ledger, self._forgetting = table
        self._host = HostEvidence(look)
        self._pools = pools
        self._pause = _PAUSE
        self._repeated = 0.0
        self._waiting: AbstractSet[Key] = frozenset()
        self._since = 0.0
        self._read: object = None
        self._looked_at: object = None
        self._eager = True
        self._unanswered = 0

    @property
    def silent(self) -> bool:
        """Whether the kubelet was asked in vain; once says nothing, it may just be starting."""
        return self._unanswered > 1

    async def look_once(self) -> None:
        """Learn what was in use before this process started: what is written down counts, too.

        The kubelet may not answer soon, or not know its pods yet.
        """
        records = (await self._checkpoint.read()).records or {}
        self._holdings.presume(records, await self._host.named(records))
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
            tasks.create_task(self._follow_others())
            asking = tasks.create_task(self._ask())
            while True:
                identity = await self._watch.present()
                asking.cancel()
                self._pause = _SHORTEST_PAUSE
                self._holdings.doubt.set()
                asking = tasks.create_task(self._ask())
                await self._watch.gone(identity)

    async def _follow_others(self) -> None:
        """Take in what other agents give, so that lists do not offer it for long."""
        while True:
            await asyncio.sleep(_PAUSE)
            generation = self._holdings.generation
            if self._ledger.stirred():
                with suppress(LedgerBusyError):
                    async with self._ledger.turn() as news:
                        self._holdings.learn(news)
            if (written := await self._checkpoint.written()) != self._read:
                # Another plugin may have given what is ours, too.
                self._read = written
                self._holdings.doubt.set()
            await self._forgetting.take_up()
            await self._tell_others()
            if generation != self._holdings.generation:
                for pool in self._pools():
                    pool.recheck()

    async def _ask(self) -> None:
        while True:
            await self._holdings.doubt.wait()
            await self._look()
            await self._rest()

    async def _rest(self) -> None:
        """Wait for the next look; what the kubelet writes down after the last is worth one soon."""
        until = time.monotonic() + self._pause
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _PAUSE))
            if await self._checkpoint.written() != self._looked_at:
                return

    async def _look(self) -> None:
        self._read = self._looked_at = await self._checkpoint.written()
        listing = await ask_kubelet(self._pod_resources, self._checkpoint)
        self._count_answers(answered=listing is not None)
        if listing is None:
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            checkpoint = await self._checkpoint.read()
            self._take_in(await self._host.without_list(checkpoint, self._holdings.suspects()))
            self._holdings.doubt.set()
            return
        self._take_in(await self._host.completed(listing, self._holdings.suspects()))
        self._pause = _PAUSE if self._eager else _LONGEST_PAUSE
        await self._tell_others()

    def _count_answers(self, *, answered: bool) -> None:
        before = self.silent
        self._unanswered = 0 if answered else self._unanswered + 1
        if self.silent and not before:
            facts = {"socket": str(self._pod_resources)}
            _log.info("pod resources do not answer", extra={"nodeplug": facts})
        elif before and not self.silent:
            _log.info("pod resources answer again")

    def _take_in(self, listing: Listing) -> None:
        self._holdings.observe(listing)
        for pool in self._pools():
            pool.recheck()
        self._freshen(self._holdings.awaiting_write())

    async def _tell_others(self) -> None:
        """Say in the ledger what was answered and what is free; a lock that is held can wait."""
        if not self._untold():
            return
        with suppress(LedgerBusyError):
            async with self._ledger.turn() as news:
                self._holdings.learn(news)
                self._ledger.append(self._untold())
                self._ledger.compact(lambda entry: self._holdings.handed_out(*entry.key))

    def _untold(self) -> list[LedgerEntry]:
        own, holdings = self._ledger.own, self._holdings
        entries = own.values()
        return [*holdings.ended(entries), *holdings.settled(entries), *holdings.untold(own)]

    def _freshen(self, doubtful: AbstractSet[Key]) -> None:
        # R3, R47: the call has freed devices in the kubelet's memory, which is written down only
        # at the next list or allocation.
        now = time.monotonic()
        if (waiting := self._holdings.waiting()) != self._waiting:
            self._waiting, self._since = waiting, now
        self._eager = now - self._since < _EAGER_SECONDS
        if doubtful and (self._eager or now - self._repeated >= _REPEAT_SECONDS):
            self._repeated = now
            self._repeat({resource for resource, _ in doubtful})

    def _repeat(self, resources: AbstractSet[str]) -> None:
        # Each list makes the kubelet write down everything; not every resource is served any more.
        pools = list(self._pools())
        for pool in [pool for pool in pools if pool.resource in resources] or pools[:1]:
            pool.repeat()
