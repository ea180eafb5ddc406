"""What the host says of the kubelet's records: hardware, and pods that still have processes."""

import time
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from msgspec.structs import replace

from nodeplug.holdings import Key, Listing, Named, Record
from nodeplug.host.calls import call
from nodeplug.host.fallbacks import fall_back, recover
from nodeplug.kubelet.evidence import Checkpoint
from nodeplug.supervisor.hardware import HardwareLook

# What the host does not say by then is left out of account.
_HOST_SECONDS = 5.0
# A pod that is just being admitted may have no cgroup yet.
_STALE_SECONDS = 60.0

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class HostEvidence:
    """Looks at what the kubelet's records name."""

    def __init__(self, hardware: HardwareLook) -> None:
        self._hardware = hardware
        self._gone: dict[str, float] = {}

    async def completed(self, listing: Listing, suspects: Collection[str]) -> Listing:
        """Return a listing with what the host says of it and of suspects, pods by their uid."""
        self._gone.clear()
        named = await self.named(listing.recorded or {})
        return replace(listing, named=named, ended=await self._ended(suspects))

    async def without_list(self, checkpoint: Checkpoint, suspects: Collection[str]) -> Listing:
        """Return what holds while pod resources says nothing, with what the host says of suspects.

        What is recorded is in use, unless all its pods have been gone for a minute.
        """
        started = time.monotonic()
        records = checkpoint.records or {}
        await self._count_gone({uid for record in records.values() for uid in record.pods})
        until = time.monotonic() - _STALE_SECONDS
        gone = {uid for uid, since in self._gone.items() if since <= until}
        stale = frozenset(key for key, each in records.items() if each.pods and each.pods <= gone)
        living = {key: record for key, record in records.items() if key not in stale}
        known = None if checkpoint.records is None else living
        held = {key: record.numa for key, record in living.items()}
        named, ended = await self.named(records), await self._ended(suspects)
        written = checkpoint.written
        return Listing(started, held, known, written, named=named, ended=ended, stale=stale)

    async def named(self, records: Mapping[Key, Record]) -> Mapping[Key, Named]:
        """Return what hardware the answers in records name."""
        if not any(record.paths or record.cdi for record in records.values()):
            return {}
        return await self._ask(self._hardware.of_records, records) or {}

    async def _ended(self, pods: Collection[str]) -> frozenset[str]:
        lives = (await self._ask(self._hardware.lives, pods) if pods else None) or {}
        return frozenset(uid for uid, life in lives.items() if not life)

    async def _count_gone(self, pods: Collection[str]) -> None:
        gone = await self._ask(self._hardware.gone, pods) if pods else None
        now = time.monotonic()
        self._gone = {uid: self._gone.get(uid, now) for uid in gone or ()}

    async def _ask(self, method: Callable[[_Asked], _Answer], asked: _Asked) -> _Answer | None:
        try:
            answer = await call(method, asked, timeout=_HOST_SECONDS)
        except Exception as error:  # noqa: BLE001 - whatever files there are, or no more threads
            fall_back("hardware of what is in use", "not looked at", repr(error))
            return None
        recover("hardware of what is in use")
        return answer
