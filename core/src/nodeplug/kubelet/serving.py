"""One resource's whole life towards the kubelet."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import msgspec

from nodeplug.allocation import Allocator
from nodeplug.kubelet.lock import ResourceLock
from nodeplug.kubelet.reasons import reasons_handler
from nodeplug.kubelet.registration import Registration
from nodeplug.kubelet.server import DevicePluginServer
from nodeplug.kubelet.service import DevicePluginService
from nodeplug.kubelet.sockets import SocketDirectory
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.pool import ResourcePool
from nodeplug.values.errors import ResourceLostError
from nodeplug.values.trouble import Trouble

if TYPE_CHECKING:
    from nodeplug.kubelet.watched_registration import WatchedRegistration

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

_Beside = Sequence[grpc.GenericRpcHandler]

_log = logging.getLogger("nodeplug.kubelet")


class Site(msgspec.Struct, frozen=True):
    """Where resources are served: the kubelet's directory with our sockets, and its kubelet.

    With a `registry` the sockets are there instead, for the kubelet to find (R72). `troubles` are
    those of the agent, for whoever asks on a socket. They are `contended` where another agent
    serves them until this one does; `owner` says who this one is, for those that wait for it.
    """

    directory: SocketDirectory
    watch: KubeletWatch
    registry: SocketDirectory | None = None
    troubles: Callable[[], Sequence[Trouble]] = tuple
    contended: bool = False
    owner: str = ""

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Hold our directories; raise KubeletDirectoryError where one is unusable.

        One whose disk does not answer is opened when it does, by what is served.
        """
        async with AsyncExitStack() as stack:
            for directory in filter(None, (self.directory, self.registry)):
                stack.push_async_callback(_close, directory)
                await directory.disk.ask(None, directory.open)
            yield


class ServedResource:
    """A pool that is served as long as `run` runs, come what may."""

    def __init__(
        self,
        pool: ResourcePool,
        allocator: Allocator,
        site: Site,
    ) -> None:
        self.pool = pool
        self._released = asyncio.Event()
        directory = site.directory
        self._lock = ResourceLock(
            *(directory.plugin_dir, pool.resource, directory.disk, site.owner),
            contended=site.contended,
        )
        service = DevicePluginService(pool, allocator)
        open_up = _to_be_called if site.registry is None else _to_be_found
        self._registration: Registration | WatchedRegistration
        beside = [reasons_handler(pool, site.troubles)]
        self._server, self._registration = open_up(service, self._lock, site, beside)

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
    def holder(self) -> str:
        """Who serves the resource while this agent waits for it, in words, or empty."""
        return self._lock.holder

    @property
    def socket(self) -> Path:
        """Where the kubelet reaches the resource."""
        return self._server.path

    async def run(self) -> None:
        """Serve until cancelled; start over after any failure, with a growing pause."""
        pause = _FIRST_PAUSE
        while not self._released.is_set():
            try:
                await self._serve()
            except ResourceLostError as error:
                self._report(error)
                pause = _FIRST_PAUSE
            except TimeoutError:  # the disk, which is told of
                await asyncio.sleep(_FIRST_PAUSE)
            except Exception as error:  # noqa: BLE001 - one resource never takes down another
                self._report(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def release(self) -> None:
        """Let another agent have the resource, and serve it on until cancelled (R15)."""
        self._released.set()
        await self._lock.release()

    async def followed(self) -> None:
        """Return when the kubelet follows the list."""
        service, wake = self._server.service, asyncio.Event()
        service.wakers.add(wake)
        try:
            while not service.streams:
                wake.clear()
                await wake.wait()
        finally:
            service.wakers.discard(wake)

    async def _serve(self) -> None:
        try:
            await self._lock.acquire()
            try:
                await self._server.start()
                await self._register()
            finally:
                await self._server.stop()
        finally:
            await self._lock.release()

    async def _register(self) -> None:
        """Stay registered until the resource is released; never return."""
        registering = asyncio.create_task(self._registration.run())
        released = asyncio.create_task(self._released.wait())
        try:
            await asyncio.wait({registering, released}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            registering.cancel()
            released.cancel()
            await asyncio.wait({registering, released})
        if not registering.cancelled():
            registering.result()
        await asyncio.Event().wait()

    def _report(self, error: Exception) -> None:
        facts = {"resource": self.pool.resource, "error": repr(error)}
        _log.error("serving interrupted", extra={"nodeplug": facts})


async def _close(directory: SocketDirectory) -> None:
    await directory.disk.tidy(directory.close)
    directory.disk.close()


def _to_be_called(
    service: DevicePluginService, lock: ResourceLock, site: Site, beside: _Beside
) -> tuple[DevicePluginServer, Registration]:
    server = DevicePluginServer(service, site.directory, beside)
    return server, Registration(service.resource, server, lock, site.watch)


def _to_be_found(
    service: DevicePluginService, lock: ResourceLock, site: Site, beside: _Beside
) -> "tuple[DevicePluginServer, WatchedRegistration]":
    # Few want it, and everyone would pay for its generated code in memory.
    from nodeplug.kubelet.introduction import Introduction  # noqa: PLC0415
    from nodeplug.kubelet.watched_registration import WatchedRegistration  # noqa: PLC0415

    assert site.registry is not None
    introduction = Introduction(service.resource)
    server = DevicePluginServer(service, site.registry, [introduction.handlers(), *beside])
    return server, WatchedRegistration(service.resource, server, introduction, lock, site.watch)
