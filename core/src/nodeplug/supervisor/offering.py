"""From what backends say to what is served, under the rules of now."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from nodeplug.allocation import BackendHandle
from nodeplug.holdings import Holdings
from nodeplug.host.calls import call
from nodeplug.host.fallbacks import fall_back, recover
from nodeplug.offers import Offer, OfferRule, Refusal, advertise
from nodeplug.quarantine import isolate
from nodeplug.supervisor import troubles
from nodeplug.supervisor.claims import Claims
from nodeplug.supervisor.files import DISK_SECONDS, Files, without_lacking
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.supervisor.node import Rules
from nodeplug.supervisor.resources import Resources
from nodeplug.values.inventory import Inventory
from nodeplug.values.trouble import Trouble

# A disk that is full may have room again.
_RETRY_SECONDS = 10.0
_JUDGE_SECONDS = 30.0

_log = logging.getLogger("nodeplug.supervisor")


class Offering:
    """Offers what backends have: what they said last, under names that are theirs.

    `former` are offers that worked before, for resources whose rules do not. What is raised on the
    way, by a rule or by a backend, costs that backend its news and nothing else. Whoever has the
    `turn` is alone; `afterwards` is called with its backend at the end of each.
    """

    def __init__(
        self,
        resources: Resources,
        files: Files,
        hardware: HardwareLook,
        holdings: Holdings,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.rules = Rules()
        self.former: Sequence[OfferRule] = ()
        self._claims = Claims()
        self.turn = asyncio.Lock()
        self.afterwards: Callable[[str], Awaitable[None]] = _nothing
        self._resources, self._files = resources, files
        self._hardware, self._holdings = hardware, holdings
        self._tasks = tasks
        self._latest: dict[str, tuple[BackendHandle, Inventory]] = {}
        self._expected: dict[str, Collection[str]] = {}
        self._worked: dict[str, Sequence[OfferRule]] = {}
        self._refusals: dict[str, Sequence[Refusal]] = {}
        self._clashes: dict[str, Mapping[str, str]] = {}
        self._failures: dict[str, str] = {}
        self._retrying: set[str] = set()

    @property
    def is_whole(self) -> bool:
        """Whether all of the rules are in force."""
        return not any(self._refusals.values())

    def troubles(self, backend: str) -> Iterator[Trouble]:
        """Yield what of a backend is not offered as it should be."""
        yield from troubles.of_refusals(backend, self._refusals.get(backend, ()))
        yield from troubles.of_clashes(backend, self._clashes.get(backend, {}).items())
        error = self._failures.get(backend) or self._files.troubles.get(backend, "")
        yield from troubles.of_offers(backend, error)

    def expect(self, backend: str, names: Collection[str]) -> None:
        """Note what a backend calls its resources by its settings, whatever devices it has."""
        self._expected[backend] = names
        self._own(backend)

    async def learn(self, backend: BackendHandle, inventory: Inventory) -> None:
        """Take over a backend's new truth."""
        self._latest[backend.name] = backend, inventory
        await self._bring_out(backend.name)

    async def apply(self, rules: Rules) -> None:
        """Take over new rules."""
        self.rules = rules
        for name in list(self._latest):
            await self._bring_out(name)

    async def _bring_out(self, name: str) -> None:
        """Serve what a backend said last.

        Before it, those that lose a name to it; after it, those that may have one again.
        """
        arrived = time.monotonic()
        async with self.turn:
            self._own(name)
            for each in (*(each for each in self._claims.losing() if each != name), name):
                await self._update(each, arrived)
            for each in self._claims.winning(self._refusals):
                await self._update(each, arrived)
            await self.afterwards(name)

    def _own(self, backend: str) -> None:
        _, latest = self._latest.get(backend, (None, None))
        found = latest.resources if latest else ()
        self._claims.own(backend, {*self._expected.get(backend, ()), *found})

    async def _update(self, name: str, arrived: float) -> None:
        try:
            done = await self._offer(name, arrived)
            self._failures.pop(name, None)
        except Exception as error:  # noqa: BLE001 - one backend never takes down another
            done, facts = False, {"backend": name, "error": repr(error)}
            if self._failures.get(name) != repr(error):
                _log.error("devices not updated", extra={"nodeplug": facts}, exc_info=error)
            self._failures[name] = repr(error)
        if not done and name not in self._retrying:
            self._retrying.add(name)
            self._tasks.create_task(self._retry(name))

    async def _retry(self, name: str) -> None:
        await asyncio.sleep(_RETRY_SECONDS)
        self._retrying.discard(name)
        await self._bring_out(name)

    async def _isolated(self, inventory: Inventory) -> Inventory:
        """Judge devices by what takes them out of service: seconds for many rules and devices."""
        rules = [*self.rules.quarantine, *self.rules.annotated]
        if not rules:
            return inventory
        return await call(isolate, inventory, rules, timeout=_JUDGE_SECONDS)

    async def _offer(self, name: str, arrived: float) -> bool:
        """Offer what a backend has; files that containers need come before lists.

        Return whether all of it could be done, and nothing of it is about to change.
        """
        backend, inventory = self._latest[name]
        found = await self._isolated(self._without_foreign_ids(name, inventory))
        former = {native: self._worked.get(native, self.former) for native in found.resources}
        wanted = advertise(found, self.rules.offers, former, self._claims.taken(name))
        offers, unseen = await self._with_hardware(wanted.offers)
        failures = await self._files.bring_in_line(backend, offers, self._holdings.in_use())
        self._resources.take_over(backend, without_lacking(offers, failures), arrived)
        self._claims.give(name, offers)
        self._note(name, wanted.refusals)
        for native in found.resources - {each.resource for each in wanted.refusals}:
            self._worked[native] = self.rules.offers
        unsettled = self._files.unsettled.get(name)
        return not (unseen or unsettled or failures or self._files.troubles.get(name))

    def _note(self, backend: str, refusals: Sequence[Refusal]) -> None:
        before = self._refusals.get(backend, ())
        self._refusals[backend] = refusals
        for each in refusals:
            if each not in before:
                facts = {"backend": backend, "error": each.detail}
                _log.error("name refused", extra={"nodeplug": facts})

    def _without_foreign_ids(self, backend: str, inventory: Inventory) -> Inventory:
        # R23: the kubelet looks up the pods of a sick device by its id over all resources.
        foreign = self._resources.foreign_ids(backend)
        clashes = {i: foreign[i] for i in sorted(inventory.devices.keys() & foreign.keys())}
        if clashes != self._clashes.get(backend, {}):
            facts = {"backend": backend, "served_by": clashes}
            _log.error("ids are another backend's already", extra={"nodeplug": facts})
        self._clashes[backend] = clashes
        if not clashes:
            return inventory
        kept = {i: device for i, device in inventory.devices.items() if i not in clashes}
        return replace(inventory, devices=kept)

    async def _with_hardware(self, offers: Mapping[str, Offer]) -> tuple[Mapping[str, Offer], bool]:
        """Return the offers with what hardware they are; look at what is held, too.

        And whether that could not be seen in time: what is not known is not given.
        """
        before = self._holdings.known()
        try:
            found, after = await call(self._hardware.of_all, offers, before, timeout=DISK_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever files there are
            fall_back("hardware of devices", "not looked at", repr(error))
            return self._hardware.remembered(offers), True
        recover("hardware of devices")
        self._holdings.derive(before, after)
        return found, False


async def _nothing(_: str) -> None:
    pass
