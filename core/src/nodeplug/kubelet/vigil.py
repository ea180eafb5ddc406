"""Noticing that a resource has to be registered again."""

import asyncio
import logging
import time

from nodeplug.kubelet.lock import ResourceLock
from nodeplug.kubelet.server import DevicePluginServer
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.values.errors import ResourceLostError

# R24: without a stream for so long, the kubelet has dropped us and will not come back by itself.
WATCHDOG_SECONDS = 2.0
# R15: up to 1.36 the end of another instance's stream takes ours with it, sometimes twice.
_AT_ONCE = 3

_log = logging.getLogger("nodeplug.kubelet")


class Vigil:
    """Watches over the server, the lock, the options and the streams of one resource."""

    def __init__(
        self, resource: str, server: DevicePluginServer, lock: ResourceLock, watch: KubeletWatch
    ) -> None:
        self._wake = asyncio.Event()
        self._resource = resource
        self._server = server
        self._service = server.service
        self._lock = lock
        self._wakers = watch.wakers, server.service.wakers
        self._told = self._service.options()
        self._since, self._patience = 0.0, 0.0
        self._followed, self._at_once = False, _AT_ONCE

    def __enter__(self) -> None:
        for waiting in self._wakers:
            waiting.add(self._wake)

    def __exit__(self, *_: object) -> None:
        for waiting in self._wakers:
            waiting.discard(self._wake)

    async def sound(self) -> None:
        """Make sure that somebody serves where the kubelet will dial (R11)."""
        if not await self._server.repair():
            await self._server.restart()
        self._told = self._service.options()

    def expect_stream(self, patience: float = WATCHDOG_SECONDS) -> None:
        """Begin to wait for a stream, so many seconds from now."""
        self._since, self._patience = time.monotonic(), patience
        self._wake.set()

    async def trouble(self) -> None:
        """Return when registering again is due: when no stream came in time, for one thing.

        Some times at once after a stream was lost, where another instance's end may have ended it.

        Raise ResourceLostError when another instance has taken the resource over.
        """
        while True:
            self._wake.clear()
            if await self._lock.lost():
                raise ResourceLostError(f"another instance has taken over {self._resource}")
            if self._service.options() != self._told:
                return await self._server.end_streams()
            if not await self._server.repair() or self._hurries():
                return None
            now = time.monotonic()
            if self._service.streams:
                self._since, self._patience = now, WATCHDOG_SECONDS
            elif now - self._since >= self._patience:
                facts = {"resource": self._resource}
                return _log.debug("stream lost, registering again", extra={"nodeplug": facts})
            await self._wait(self._since + self._patience - now)

    def _hurries(self) -> bool:
        """Return whether a stream was just lost that another instance's end may have ended."""
        followed, self._followed = self._followed, self._service.streams > 0
        lost = followed and not self._followed and self._lock.contended
        self._at_once -= lost
        return lost and self._at_once >= 0

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(None if self._service.streams else seconds):
                await self._wake.wait()
        except TimeoutError:
            return
