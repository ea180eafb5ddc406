"""One server per resource on a node, over processes and pods."""

import asyncio
import logging
import time
from contextlib import suppress
from pathlib import Path

from nodeplug.host.disk import Disk
from nodeplug.host.files import FileLock, remove_quietly
from nodeplug.kubelet.probe import trouble_at
from nodeplug.kubelet.sockets import HOME

# A holder that has not answered on its socket for so long is taken for dead.
DEAD_SECONDS = 5.0
_RETRY_SECONDS = 0.25
_UNKNOWN = "another agent"

_log = logging.getLogger("nodeplug.kubelet")


class ResourceLock:
    """The right to serve a resource. Released by the system when its holder dies.

    The file holds the path of its holder's socket, relative to the plugin directory, which is on
    the `disk`, and in a second line who the holder is, its `owner`. `holder` is the one that this
    instance waits for, in words, or empty. Where the disk does not answer, `acquire` and `announce`
    raise TimeoutError. It is `contended` where another instance has served the resource until then.
    """

    def __init__(
        self, plugin_dir: Path, resource: str, disk: Disk, owner: str, *, contended: bool = False
    ) -> None:
        self.holder = ""
        self._owner = owner
        self.contended = contended
        self._plugin_dir = plugin_dir
        self._disk = disk
        self._resource = resource
        self._path = plugin_dir / HOME / "locks" / resource
        self._lock = FileLock(self._path)

    async def acquire(self) -> None:
        """Wait for the lock: until its holder releases it, dies, or falls silent."""
        if await self._disk.call(self._try):
            return
        self.contended = True
        try:
            await self._wait()
        finally:
            self.holder = ""

    async def _wait(self) -> None:
        answered = time.monotonic()
        while not await self._disk.call(self._try):
            endpoint, _, holder = (await self._disk.call(self._lock.read)).partition("\n")
            if holder != self.holder:
                facts = {"resource": self._resource, "holder": holder}
                _log.info("another agent serves the resource, waiting", extra={"nodeplug": facts})
            self.holder = holder or _UNKNOWN
            if endpoint and not await trouble_at(self._plugin_dir / endpoint):
                answered = time.monotonic()
            elif time.monotonic() - answered >= DEAD_SECONDS:
                facts = {"resource": self._resource, "holder": holder}
                _log.warning("taking over from a silent agent", extra={"nodeplug": facts})
                await self._disk.call(remove_quietly, self._path)
            await asyncio.sleep(_RETRY_SECONDS)

    async def announce(self, endpoint: str) -> None:
        """Tell other instances on which socket this one answers, unless the disk is full."""
        await self._disk.call(self._write, endpoint)

    async def lost(self) -> bool:
        """Whether another instance has taken over because this one had fallen silent."""
        return not await self._disk.ask(True, self._lock.held_here_is_current)

    async def release(self) -> None:
        """Let the next instance have the resource: now, or else as soon as the disk answers."""
        await self._disk.tidy(self._lock.release)

    def _try(self) -> bool:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._lock.try_acquire()

    def _write(self, endpoint: str) -> None:
        with suppress(OSError):
            self._lock.write(f"{endpoint}\n{self._owner}")
