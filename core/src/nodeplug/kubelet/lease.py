"""The right to be an installation's agent on a node: held by one process, handed to the next."""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from nodeplug.host.fallbacks import fall_back, forget, recover
from nodeplug.host.files import FileLock, remove_quietly
from nodeplug.kubelet.lock import DEAD_SECONDS
from nodeplug.kubelet.sockets import HOME, SocketDirectory
from nodeplug.values.errors import KubeletDirectoryError, LeaseLostError

T = TypeVar("T")
Args = TypeVarTuple("Args")

# Kubernetes gives a pod of ours 10 s to end, some of which are needed for the end itself.
HANDOVER_SECONDS = 5.0
_BEAT_SECONDS = 1.0
_RETRY_SECONDS = 0.05
_WHAT, _LACKS = "the lease", "the next agent cannot stand by"
_SERVING, _YOURS = b"serving\n", b"yours\n"

_log = logging.getLogger("nodeplug.kubelet")


class Lease:
    """Held by one process for each of some names; whoever wants one of them stands by.

    A name is a lock file that says where its holder listens. Who stands by keeps a connection to
    it: that ends with the holder, and one that is silent for too long is taken for dead. `holder`
    is who has what this process waits for, in words; it is empty unless that will hand it over.
    """

    def __init__(self, plugin_dir: Path, names: Collection[str], owner: str) -> None:
        self.holder = ""
        self._plugin_dir, self._owner = plugin_dir, owner
        self._directory = SocketDirectory(plugin_dir, name="the directory of leases")
        self._disk = self._directory.disk
        self._locks = [FileLock(plugin_dir / HOME / "leases" / name) for name in sorted(names)]
        self._path = Path()
        self._bound: socket.socket | None = None
        self._yields = False
        self._next: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._left = asyncio.Event()
        self._former: dict[FileLock, asyncio.StreamWriter] = {}
        self._answered = time.monotonic()

    @property
    def wanted(self) -> bool:
        """Whether somebody stands by."""
        return bool(self._next)

    @property
    def contended(self) -> bool:
        """Whether another process has handed over, and waits until this one serves."""
        return bool(self._former)

    async def acquire(self) -> None:
        """Wait until all names are held here; a disk that does not answer holds up nobody."""
        while lock := await self._ask(None, self._take):
            await self._follow(lock)

    async def try_acquire(self) -> bool:
        """Hold all names, without waiting, or none; return whether they are held."""
        return await self._ask(None, self._take) is None

    def _take(self) -> FileLock | None:
        """Return the lock that another has; then none is kept, for who waits answers nobody."""
        for lock in self._locks:
            if not _try(lock):
                self._release()
                return lock
        return None

    async def _follow(self, lock: FileLock) -> None:
        """Return when the holder of a lock hands it over, ends, or was found to be dead."""
        endpoint, _, holder = (await self._ask("", lock.read)).partition("\n")
        if not endpoint:  # it has just begun, or its disk is full
            self._answered = time.monotonic()
            return await asyncio.sleep(_RETRY_SECONDS)
        with suppress(OSError, TimeoutError):
            client = await self._disk.call(_connected, self._plugin_dir / endpoint)
            reader, writer = await asyncio.open_unix_connection(sock=client)
            try:
                while line := await _line(reader):
                    self._answered = time.monotonic()
                    if line == _YOURS:
                        self._former[lock] = writer
                        return None
                    self._stand_by_for(holder)
                    self._let_go_of(lock)
            finally:
                self.holder = ""
                if writer not in self._former.values():
                    writer.close()
        if time.monotonic() - self._answered >= DEAD_SECONDS:
            self._answered = time.monotonic()
            facts = {"holder": holder}
            _log.warning("taking over from a silent agent", extra={"nodeplug": facts})
            await self._ask(None, remove_quietly, lock.path)
        return await asyncio.sleep(_RETRY_SECONDS)

    def _stand_by_for(self, holder: str) -> None:
        if holder != self.holder:
            _log.info("standing by", extra={"nodeplug": {"holder": holder}})
            self.holder = holder

    def _let_go_of(self, lock: FileLock) -> None:
        if former := self._former.pop(lock, None):
            former.close()

    def taken(self) -> None:
        """Let those go who have handed over to this process: it serves what they did."""
        for lock in self._locks:
            self._let_go_of(lock)

    async def hold(self) -> None:
        """Keep what is held until cancelled. Raise LeaseLostError when another has taken it."""
        server = None
        beating = asyncio.create_task(self._beat())
        try:
            while True:
                await self._ask(None, self._keep)
                if bound := self._bound:
                    self._bound = None
                    if server is not None:
                        server.close()
                    server = await asyncio.start_unix_server(self._meet, sock=bound)
                await asyncio.sleep(_BEAT_SECONDS)
        finally:
            beating.cancel()
            if server is not None:
                server.close()
            await self._disk.tidy(self._let_go)
            self._disk.close()
            while self._next:
                writer, accompanied = self._next.popitem()
                writer.close()
                await accompanied
            forget(_WHAT)

    async def _beat(self) -> None:
        """Tell those that stand by that this process turns, whatever its disk does."""
        while True:
            for writer in self._next:
                writer.write(_SERVING)
            await asyncio.sleep(_BEAT_SECONDS)

    async def _ask(self, otherwise: T, function: Callable[[*Args], T], *args: *Args) -> T:
        """Return what a function returns, or something else where the directory is of no use."""
        try:
            found = await self._disk.ask(otherwise, function, *args)
        except (OSError, KubeletDirectoryError) as error:
            fall_back(_WHAT, _LACKS, str(error))
            return otherwise
        recover(_WHAT)
        return found

    def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._yields:  # whoever has it now is to be followed
            return writer.close()
        writer.write(_SERVING)
        self._next[writer] = asyncio.create_task(self._accompany(reader, writer))
        return None

    async def _accompany(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await reader.read()
        self._next.pop(writer, None)
        self._left.set()
        writer.close()

    async def hand_over(self) -> None:
        """Let whoever stands by take over; return when that serves, or has had time enough."""
        waiting = set(self._next)
        self._yields = True
        await self._disk.tidy(self._release)
        for writer in waiting:
            writer.write(_YOURS)
        try:
            async with asyncio.timeout(HANDOVER_SECONDS):
                while waiting & self._next.keys():
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            _log.warning("the next agent does not serve in time, ending nevertheless")

    def _keep(self) -> None:
        """Take again what has gone but for its holder: files of locks, socket, note of it."""
        if self._yields:
            return
        for lock in self._locks:
            if not lock.held_here_is_current():
                lock.release()
                if not _try(lock):
                    raise LeaseLostError(f"another agent of the installation has {lock.path}")
        if not self._path.is_socket():
            self._bind()
        note = f"{self._path.relative_to(self._plugin_dir)}\n{self._owner}"
        for lock in self._locks:
            if lock.read() != note:
                lock.write(note)

    def _bind(self) -> None:
        self._directory.open()
        path = self._directory.new_path().with_name("lease.sock")
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(str(path))
        bound.listen()
        self._path, self._bound = path, bound

    def _release(self) -> None:
        for lock in self._locks:
            lock.release()

    def _let_go(self) -> None:
        if self._bound:
            self._bound.close()
        self._directory.close()
        self._release()


def _try(lock: FileLock) -> bool:
    lock.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return lock.try_acquire()


def _connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    try:
        client.connect(str(path))
    except BaseException:
        client.close()
        raise
    return client


async def _line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEAD_SECONDS):
        return await reader.readline()
