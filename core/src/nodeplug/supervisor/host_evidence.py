"""What the host says of the kubelet's records: hardware, and pods that still have processes."""

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TypeVar

from nodeplug.holdings import Key, Listing, Record
from nodeplug.host.calls import call
from nodeplug.kubelet.evidence import Checkpoint
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.values.hardware import NO_USES, Uses

# What the host does not say by then is left out of account.
_HOST_SECONDS = 5.0
# A pod that was admitted has its processes by then.
_STALE_SECONDS = 60.0

_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")

_log = logging.getLogger("nodeplug.supervisor")


class HostEvidence:
    """Looks at what the kubelet's records name, each as long as it is the same once."""

    def __init__(self, hardware: HardwareLook) -> None:
        self._hardware = hardware
        self._named: dict[Key, tuple[frozenset[str] | None, Uses]] = {}
        self._ended: dict[str, float] = {}

    async def completed(self, listing: Listing, suspects: Collection[str]) -> Listing:
        """Return a listing with what the host says of it and of suspects, pods by their uid."""
        lives = await self._lives(suspects)
        alive = frozenset(uid for uid, life in lives.items() if life)
        uses = await self.uses(listing.recorded or {})
        return replace(listing, uses=uses, alive=alive, ended=frozenset(lives) - alive)

    async def without_list(self, checkpoint: Checkpoint) -> Listing:
        """Return what holds while pod resources says nothing.

        What is recorded is in use, unless none of its pods has had a process for a minute.
        """
        records = checkpoint.records or {}
        await self._count_ended({uid for record in records.values() for uid in record.pods})
        until = time.monotonic() - _STALE_SECONDS
        ended = {uid for uid, since in self._ended.items() if since <= until}
        stale = frozenset(key for key, each in records.items() if each.pods and each.pods <= ended)
        living = {key: record for key, record in records.items() if key not in stale}
        known = None if checkpoint.records is None else living
        held = {key: record.numa for key, record in living.items()}
        now = time.monotonic()
        uses = await self.uses(records)
        return Listing(now, held, known, checkpoint.written, uses=uses, stale=stale)

    async def uses(self, records: Mapping[Key, Record]) -> Mapping[Key, Uses]:
        """Return what hardware the answers in records name."""
        self._named = {key: self._named[key] for key in self._named.keys() & records.keys()}
        new = {
            key: record
            for key, record in records.items()
            if key not in self._named or self._named[key][0] != record.paths
        }
        found: Mapping[Key, Uses] | None = {}
        if any(record.paths for record in new.values()):
            found = await self._ask(self._hardware.of_records, new)
        if found is not None:
            for key, record in new.items():
                self._named[key] = record.paths, found.get(key, NO_USES)
        return {key: uses for key, (_, uses) in self._named.items() if uses}

    async def _count_ended(self, pods: Collection[str]) -> None:
        lives, now = await self._lives(pods), time.monotonic()
        ended = {uid for uid, life in lives.items() if life is False}
        self._ended = {uid: self._ended.get(uid, now) for uid in ended}

    async def _lives(self, pods: Collection[str]) -> Mapping[str, bool | None]:
        return (await self._ask(self._hardware.lives, pods) if pods else None) or {}

    async def _ask(self, method: Callable[[_Asked], _Answer], asked: _Asked) -> _Answer | None:
        try:
            return await call(method, asked, timeout=_HOST_SECONDS)
        except (OSError, TimeoutError) as error:
            _log.warning("hardware not looked at", extra={"nodeplug": {"error": repr(error)}})
            return None
