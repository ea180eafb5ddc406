"""Keeps one backend running."""

import asyncio
import logging
from contextlib import aclosing
from typing import Any, Protocol

from nodeplug.allocation import BackendHandle
from nodeplug.backend import Backend, BackendSpec
from nodeplug.host.host import Host
from nodeplug.values.inventory import Inventory

# The last list of a crashed backend stands for so long: most come back sooner.
STANDS_SECONDS = 30.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0

_log = logging.getLogger("nodeplug.supervisor")


class Publisher(Protocol):
    """Where inventories go."""

    def publish(self, backend: BackendHandle, inventory: Inventory) -> None:
        """Take over a backend's new truth."""

    def condemn(self, backend: BackendHandle) -> None:
        """Turn all devices of a backend Unhealthy until its next inventory."""


class BackendRunner:
    """Builds a backend, passes its inventories on, and does so again when it crashes."""

    def __init__(self, spec: BackendSpec, settings: Any, host: Host, publisher: Publisher) -> None:
        self._spec = spec
        self._settings = settings
        self._host = host
        self._publisher = publisher
        self._handle = BackendHandle(spec.name)
        self._condemnation: asyncio.TimerHandle | None = None
        self._pause = _FIRST_PAUSE

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            try:
                await self._run_once()
                error: Exception = RuntimeError("inventories() ended by itself")
            except Exception as caught:  # noqa: BLE001 - one backend never takes down another
                error = caught
            facts = {"backend": self._spec.name, "error": repr(error), "pause": self._pause}
            _log.error("backend failed", extra={"nodeplug": facts}, exc_info=error)
            self._condemn_later()
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _run_once(self) -> None:
        backend: Backend = self._spec.build(self._settings, self._host, self._handle.current)
        self._handle.current = backend
        async with aclosing(backend.inventories()) as inventories:
            async for inventory in inventories:
                self._absolve()
                self._publisher.publish(self._handle, inventory)

    def _condemn_later(self) -> None:
        if self._condemnation is None:
            self._condemnation = asyncio.get_running_loop().call_later(
                STANDS_SECONDS, self._publisher.condemn, self._handle
            )

    def _absolve(self) -> None:
        self._pause = _FIRST_PAUSE
        if self._condemnation is not None:
            self._condemnation.cancel()
            self._condemnation = None
