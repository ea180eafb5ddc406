"""One resource's whole life towards the kubelet."""

import asyncio
import logging
from pathlib import Path

from nodeplug.allocation import Allocator
from nodeplug.kubelet.lock import ResourceLock
from nodeplug.kubelet.registration import Registration
from nodeplug.kubelet.server import DevicePluginServer
from nodeplug.kubelet.service import DevicePluginService
from nodeplug.kubelet.sockets import SocketDirectory
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.pool import ResourcePool
from nodeplug.values.errors import ResourceLostError

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

_log = logging.getLogger("nodeplug.kubelet")


class ServedResource:
    """A pool that is served as long as `run` runs, come what may."""

    def __init__(
        self,
        pool: ResourcePool,
        allocator: Allocator,
        directory: SocketDirectory,
        watch: KubeletWatch,
    ) -> None:
        self.pool = pool
        self._lock = ResourceLock(directory.plugin_dir, pool.resource)
        self._server = DevicePluginServer(DevicePluginService(pool, allocator), directory)
        self._registration = Registration(pool.resource, self._server, self._lock, watch)

    @property
    def streams(self) -> int:
        """How many clients follow the list; the kubelet is one."""
        return self._server.service.streams

    @property
    def registered(self) -> bool:
        """Whether the kubelet that is there has accepted the resource."""
        return self._registration.registered

    @property
    def error(self) -> str:
        """Why the kubelet refused the last registration, or empty."""
        return self._registration.error

    @property
    def socket(self) -> Path:
        """Where the kubelet reaches the resource."""
        return self._server.path

    async def run(self) -> None:
        """Serve until cancelled; start over after any failure, with a growing pause."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await self._serve()
            except ResourceLostError as error:
                self._report(error)
                pause = _FIRST_PAUSE
            except Exception as error:  # noqa: BLE001 - one resource never takes down another
                self._report(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _serve(self) -> None:
        await self._lock.acquire()
        try:
            await self._server.start()
            await self._registration.run()
        finally:
            await self._server.stop()
            self._lock.release()

    def _report(self, error: Exception) -> None:
        facts = {"resource": self.pool.resource, "error": repr(error)}
        _log.error("serving interrupted", extra={"nodeplug": facts})
