"""From a kubelet's request to container edits, through the pool and the backend."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from nodeplug.backend import Backend, Preparer
from nodeplug.cdi.names import named
from nodeplug.holdings import Holdings, physical_id
from nodeplug.host.ledger import Ledger, LedgerEntry
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.pool import ResourcePool
from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits, merge
from nodeplug.values.errors import AllocationRefusedError, NodeplugError, UnfitRequestError

if TYPE_CHECKING:
    from nodeplug.placement.atlas import Atlas

# R43: the kubelet sets no deadline and admits no other pod meanwhile.
ALLOCATE_SECONDS = 10.0
# R55: the kubelet gives up after 30 s.
PREPARE_SECONDS = 25.0
# R42: a device that could not be handed out stays away from the scheduler for so long.
SUSPECT_SECONDS = 30.0

_log = logging.getLogger("nodeplug.allocation")


class BackendHandle(msgspec.Struct):
    """The running instance of a backend; None until it was first built."""

    name: str
    current: Backend | None = None

    def get(self) -> Backend:
        """Return the newest instance, even if it has crashed since: allocation keeps no state."""
        if self.current is None:
            raise AllocationRefusedError(f"backend {self.name} is not running")
        return self.current


class Allocator:
    """Serves the requests for one resource, which is a `backend`'s."""

    def __init__(
        self, pool: ResourcePool, holdings: Holdings, ledger: Ledger, backend: BackendHandle
    ) -> None:
        self._pool = pool
        self._holdings = holdings
        self._ledger = ledger
        self.backend = backend
        self._charted: Offer | None = None
        self._atlas: Atlas | None = None

    @property
    def prefers(self) -> bool:
        """Whether it matters which devices the kubelet chooses."""
        return self._pool.offer.policy is not None

    @property
    def prepares(self) -> bool:
        """Whether containers of the resource wait for `prepare`."""
        return self._pool.offer.prepared

    async def allocate(self, ids: Collection[str]) -> ContainerEdits:
        """Return the edits for a container that gets these devices.

        Any trouble is an error. That of a backend turns the devices Unhealthy for a while, so that
        the next pod is not sent here at once (R42): those at fault, if the error names any.
        """
        entries: Sequence[LedgerEntry] = ()
        try:
            async with self._ledger.turn() as news:
                if news:
                    self._holdings.learn(news)
                offer, devices = self._pool.offer, self._devices(ids)
                giving = self._holdings.allocating(self._pool.resource, ids)
                entries = giving.entries
                self._ledger.append(entries)
            with giving:
                return await self._answer(ids, offer, devices)
        except BaseException:
            await self._take_back(entries)
            raise

    async def _answer(
        self, ids: Collection[str], offer: Offer, devices: Sequence[Device]
    ) -> ContainerEdits:
        try:
            async with asyncio.timeout(ALLOCATE_SECONDS):
                added = await self.backend.get().allocate(self._pool.resource, devices)
            return _merged(offer, devices, added)
        except Exception as error:
            # Devices that do not go together may each be sound.
            if len(devices) == 1 or not isinstance(error, UnfitRequestError):
                self._suspect(ids, error)
            raise

    async def _take_back(self, entries: Sequence[LedgerEntry]) -> None:
        # What made an answer impossible may be news of other agents.
        self._pool.refresh()
        if entries:
            with suppress(AllocationRefusedError):
                async with self._ledger.turn() as news:
                    self._holdings.learn(news)
                    self._ledger.append(self._holdings.ended(entries))

    def prefer(self, available: Collection[str], must: Collection[str], size: int) -> list[str]:
        """Return the ids that the kubelet had best choose, or none. For any thread, one at a time.

        It may take some 0.1 s for 10,000 devices.
        """
        offer = self._pool.offer
        if offer.policy is None:
            return []
        # Few resources have a policy, and others need none of this in memory.
        from nodeplug.placement.atlas import Atlas  # noqa: PLC0415
        from nodeplug.placement.prefer import prefer  # noqa: PLC0415

        atlas = self._atlas if self._charted is offer else None
        if atlas is None:
            atlas = self._atlas = Atlas.of(offer)
            self._charted = offer
        return prefer(atlas, offer.policy, available, must, size)

    async def prepare(self, ids: Collection[str]) -> None:
        """Make devices ready before a container starts.

        A sick device is the backend's to judge: a container that has it may start again (R34).
        """
        backend = self.backend.get()
        if not isinstance(backend, Preparer):
            raise AllocationRefusedError(f"backend {self.backend.name} prepares nothing")
        devices = _each_once(self._pool.present(ids))
        async with asyncio.timeout(PREPARE_SECONDS):
            await backend.prepare(self._pool.resource, devices)

    def _devices(self, ids: Collection[str]) -> list[Device]:
        if not ids:
            raise UnfitRequestError(f"a request for {self._pool.resource} names no device")
        shared = self._pool.offer.single and any(physical_id(each) != each for each in ids)
        if shared and len(set(ids)) > 1:
            raise UnfitRequestError(
                f"{self._pool.resource} is shared: a container may ask for one device only"
            )
        return _each_once(self._pool.resolve(ids))

    def _suspect(self, ids: Collection[str], error: Exception) -> None:
        reason = (
            f"allocation failed: {error}"
            if isinstance(error, NodeplugError)
            else (f"allocation failed: {type(error).__name__}")
        )
        facts = {"resource": self._pool.resource, "devices": sorted(ids), "error": repr(error)}
        _log.error("allocation failed", extra={"nodeplug": facts})
        if at_fault := self._at_fault(error):
            self._pool.suspect(at_fault, reason, SUSPECT_SECONDS, certain=True)
        else:
            self._pool.suspect({*ids}, reason, SUSPECT_SECONDS)
        asyncio.get_running_loop().call_later(SUSPECT_SECONDS, self._pool.refresh)

    def _at_fault(self, error: Exception) -> set[str]:
        named = error.devices if isinstance(error, AllocationRefusedError) else ()
        return {entry.id for entry in self._pool.offer.devices if entry.device.id in named}


def _merged(offer: Offer, devices: Sequence[Device], added: ContainerEdits) -> ContainerEdits:
    own = [edits.yielding_to(added) for edits in (offer.edits, *[d.edits for d in devices])]
    if offer.inject == "devices":
        return merge([*own, added])
    said = [ContainerEdits(envs=each.envs, annotations=each.annotations) for each in own]
    return merge([*said, added, named(offer, devices)])


def _each_once(offered: Sequence[OfferedDevice]) -> list[Device]:
    return list({entry.device.id: entry.device for entry in offered}.values())
