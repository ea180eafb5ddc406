"""The gRPC server of one resource, on a socket that outlives kubelet restarts."""

import asyncio
import os
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from pathlib import Path

import grpc
import grpc.aio

from nodeplug.host.files import remove_quietly
from nodeplug.kubelet.service import DevicePluginService
from nodeplug.kubelet.sockets import SocketDirectory
from nodeplug.kubelet.target import target_of

# R15: the kubelet handles the end of a stream after the fact, and may then drop the next one.
SETTLE_SECONDS = 0.5
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

    @property
    def path(self) -> Path:
        """The path that was registered last."""
        return self._link

    async def start(self) -> None:
        """Bind a new path and serve on it."""
        self.directory.open()
        self._bound = self._link = self.directory.new_path()
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((self.service.handlers(), *self._beside))
        self._server.add_insecure_port(target_of(self._bound))
        await _to_its_end(self._server.start())
        self._bound.chmod(0o600)
        self._inode = _inode(self._bound)

    async def stop(self) -> None:
        """End all streams, close the socket, remove its files."""
        server, self._server = self._server, None
        try:
            if server is not None:
                await _to_its_end(server.stop(grace=None))
        finally:
            remove_quietly(self._bound)
            remove_quietly(self._link)

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

    def new_endpoint(self) -> str:
        """Return the endpoint for one more registration; the previous one ends to exist.

        On a full disk it is one that there was before.
        """
        previous = self._link
        source = self._bound if _inode(self._bound) == self._inode else previous
        self._link = self.directory.new_link(source, previous)
        if previous not in {self._bound, self._link}:
            remove_quietly(previous)
        return self.directory.endpoint(self._link)

    def repair(self) -> bool:
        """Put back a socket file that somebody removed; return False where none is left.

        So it is, too, where a restart was broken off and nobody serves. One that cannot be put
        back, on a full disk, is left for later: the kubelet's connection needs no file.

        R115: a file of that name may also be another server's by now.
        """
        if self._server is None:
            return False
        paths = {self._bound, self._link}
        intact = {path for path in paths if _inode(path) == self._inode}
        for path in paths - intact if intact else ():
            remove_quietly(path)
            with suppress(OSError):
                os.link(next(iter(intact)), path)
        return bool(intact)


async def _to_its_end(work: Coroutine[object, object, None]) -> None:
    # A gRPC server whose start or stop is cancelled midway cannot be stopped any more: that fails
    # with an error in the place of the cancellation, or waits for ever.
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait({task})


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return -1
