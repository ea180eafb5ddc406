"""The gRPC server of one resource, on a socket that outlives kubelet restarts."""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path

import grpc
import grpc.aio

from nodeplug.host.fallbacks import fall_back, recover
from nodeplug.host.files import remove_quietly
from nodeplug.kubelet.service import DevicePluginService
from nodeplug.kubelet.sockets import SocketDirectory

# R15: the kubelet handles the end of a stream after the fact, and may then drop the next one.
SETTLE_SECONDS = 0.5
# What gRPC does at once where it has its threads.
_GRPC_SECONDS = 3.0
# R51: the kubelet sets no limit on the ids it sends along.
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]


class DevicePluginServer:
    """Serves one resource. Bound once; each registration gets a fresh link to the socket.

    What is `beside` the service is served on the same socket.
    """

    def __init__(
        self,
        service: DevicePluginService,
        directory: SocketDirectory,
        beside: Sequence[grpc.GenericRpcHandler] = (),
    ) -> None:
        self.service = service
        self.directory = directory
        self._beside = beside
        self._server: grpc.aio.Server | None = None
        self._bound = Path()
        self._link = Path()
        self._inode = 0
        self._disk = directory.disk

    @property
    def path(self) -> Path:
        """The path that was registered last."""
        return self._link

    async def start(self) -> None:
        """Bind a new path and serve on it."""
        await self._disk.call(self.directory.open)
        self._bound = self._link = self.directory.new_path()
        server = grpc.aio.server(options=_OPTIONS)
        server.add_generic_rpc_handlers((self.service.handlers(), *self._beside))
        await self._disk.call(_bind, server, self._bound)
        self._server = server
        await _to_its_end(server.start())
        self._inode = await self._disk.call(_made_private, self._bound)

    async def stop(self) -> None:
        """End all streams, close the socket, remove its files."""
        server, self._server = self._server, None
        try:
            if server is not None:
                await _to_its_end(server.stop(grace=None))
        finally:
            if self._bound.name:
                await self._disk.tidy(_remove, self._bound, self._link)

    async def restart(self) -> None:
        """End all streams and serve on a new path, ready to be registered."""
        streams = self.service.streams
        await self.stop()
        await self.start()
        if streams:
            await asyncio.sleep(SETTLE_SECONDS)

    async def end_streams(self) -> None:
        """End all streams and serve on, ready to be registered: that needs no room on the disk."""
        if self.service.streams:
            self.service.end_streams()
            await asyncio.sleep(SETTLE_SECONDS)

    async def new_endpoint(self) -> str:
        """Return the endpoint for one more registration; the previous one ends to exist.

        On a full disk it is one that there was before. Raises TimeoutError where the disk does
        not answer.
        """
        return await self._disk.call(self._new_endpoint)

    def _new_endpoint(self) -> str:
        previous = self._link
        source = self._bound if _inode(self._bound) == self._inode else previous
        self._link = self.directory.new_link(source, previous)
        if previous not in {self._bound, self._link}:
            remove_quietly(previous)
        return self.directory.endpoint(self._link)

    async def repair(self) -> bool:
        """Put back a socket file that somebody removed; return False where none is left.

        So it is, too, where a restart was broken off and nobody serves. One that cannot be put
        back, on a full disk or one that hangs, is left for later: the kubelet's connection needs
        no file.

        R115: a file of that name may also be another server's by now.
        """
        return self._server is not None and await self._disk.ask(True, self._repair)

    def _repair(self) -> bool:
        paths = {self._bound, self._link}
        intact = {path for path in paths if _inode(path) == self._inode}
        for path in paths - intact if intact else ():
            remove_quietly(path)
            with suppress(OSError):
                os.link(next(iter(intact)), path)
        return bool(intact)


def _bind(server: grpc.aio.Server, path: Path) -> None:
    # gRPC looks at the path again, on the event loop, before it closes the socket. This one leads
    # nowhere by then, so that it is not the disk which is asked.
    folder = os.open(path.parent, os.O_PATH | os.O_CLOEXEC)
    try:
        server.add_insecure_port(f"unix:/proc/self/fd/{folder}/{path.name}")
    except RuntimeError as error:
        raise OSError(str(error)) from error
    finally:
        os.close(folder)


def _made_private(path: Path) -> int:
    path.chmod(0o600)
    return _inode(path)


def _remove(*paths: Path) -> None:
    for path in paths:
        remove_quietly(path)


async def _to_its_end(work: Coroutine[object, object, None]) -> None:
    # A gRPC server whose start or stop is cancelled midway cannot be stopped any more: that fails
    # with an error in the place of the cancellation, or waits for ever.
    # Nor does it ever end where gRPC could start no thread.
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=_GRPC_SECONDS)
    finally:
        if not task.done():
            await asyncio.wait({task}, timeout=_GRPC_SECONDS)
    if task.done():
        task.result()
        recover("gRPC")
    else:
        fall_back("gRPC", "does not turn", "it may have no threads; a restart helps")


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1
