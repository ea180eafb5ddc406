"""Keeps one backend running."""

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from nodeplug.allocation import BackendHandle
from nodeplug.backend import Backend, BackendSpec
from nodeplug.host.host import Host
from nodeplug.meters.catalogue import BACKEND_RESTARTS
from nodeplug.supervisor.report import BackendReport, State
from nodeplug.values.inventory import Inventory

if TYPE_CHECKING:
    from collections.abc import Mapping

# The last list of a crashed backend stands for so long: most come back sooner.
STANDS_SECONDS = 30.0
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0

_log = logging.getLogger("nodeplug.supervisor")


class Publisher(Protocol):
    """Where inventories go."""

    async def publish(self, backend: BackendHandle, inventory: Inventory) -> None:
        """Take over a backend's new truth."""

    def condemn(self, backend: BackendHandle) -> None:
        """Turn all devices of a backend Unhealthy until its next inventory."""

    async def proved(self, backend: str, settings: Any) -> None:
        """Hear that a backend's settings have brought a first inventory."""


class BackendRunner:
    """Builds a backend, passes its inventories on, and does so again when it crashes.

    Without settings it idles until it is configured. `settled` is set once it has passed on a
    first inventory, has failed or idles.
    """

    def __init__(self, spec: BackendSpec, host: Host, publisher: Publisher) -> None:
        self.spec = spec
        self._host = host
        self._publisher = publisher
        self._settings: Any = None
        self._proved: Any = None
        self._renewed = asyncio.Event()
        self.handle = BackendHandle(spec.name)
        self._condemnation: asyncio.TimerHandle | None = None
        self._pause = _FIRST_PAUSE
        self._left_out: Mapping[str, str] = {}
        self._state = State.NEW
        self._error = ""
        self._wanted: Any = None
        self._kept = ""
        self.settled = asyncio.Event()

    @property
    def report(self) -> BackendReport:
        """How the backend is."""
        state = State.IDLE if self._settings is None else self._state
        kept = self._kept if self._wanted != self._settings else ""
        current, left_out = self.handle.current, self._left_out
        return BackendReport(self.spec.name, current, state, self._error, kept, left_out)

    def configure(self, settings: Any) -> bool:
        """Run with these settings from now on; return False if they are those in use."""
        self._wanted = settings
        if settings == self._settings:
            return False
        self._settings = settings
        self._pause = _FIRST_PAUSE
        self._renewed.set()
        return True

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            self._renewed.clear()
            running = asyncio.create_task(self._keep_running())
            renewed = asyncio.create_task(self._renewed.wait())
            try:
                await asyncio.wait({running, renewed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                running.cancel()
                renewed.cancel()
                await asyncio.gather(running, renewed, return_exceptions=True)

    async def _keep_running(self) -> None:
        if self._settings is None:
            self.settled.set()
            await asyncio.Event().wait()
        while True:
            try:
                await self._run_once()
                error: Exception = RuntimeError("inventories() ended by itself")
            except Exception as caught:  # noqa: BLE001 - one backend never takes down another
                error = caught
            if self._fall_back(error):
                continue
            self._state, self._error = State.FAILED, repr(error)
            self.settled.set()
            facts = {"backend": self.spec.name, "error": repr(error), "pause": self._pause}
            _log.error("backend failed", extra={"nodeplug": facts}, exc_info=error)
            self._condemn_later()
            BACKEND_RESTARTS.add(self.spec.name)
            await asyncio.sleep(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    async def _run_once(self) -> None:
        settings = self._settings
        backend: Backend = self.spec.build(settings, self._host, self.handle.current)
        async with aclosing(backend.inventories()) as inventories:
            async for inventory in inventories:
                self.handle.current, self._left_out = backend, inventory.left_out
                self._absolve()
                await self._publisher.publish(self.handle, inventory)
                self.settled.set()
                if self._proved is not settings:
                    self._proved = settings
                    await self._publisher.proved(self.spec.name, settings)

    def _fall_back(self, error: Exception) -> bool:
        """Return to settings that worked if those of a reload never did."""
        if self._proved is None or self._proved is self._settings:
            return False
        self._settings, self._kept = self._proved, repr(error)
        facts = {"backend": self.spec.name, "error": repr(error)}
        _log.error("new settings do not work, the former stay", extra={"nodeplug": facts})
        return True

    def _condemn_later(self) -> None:
        if self._condemnation is None:
            self._condemnation = asyncio.get_running_loop().call_later(
                STANDS_SECONDS, self._publisher.condemn, self.handle
            )

    def _absolve(self) -> None:
        self._pause = _FIRST_PAUSE
        self._state, self._error = State.FINDS, ""
        if self._condemnation is not None:
            self._condemnation.cancel()
            self._condemnation = None
