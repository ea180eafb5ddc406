"""The right to be an installation's agent on a node: held by one process, handed to the next."""

import asyncio
import logging
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
        self._yields = False
        self._next: set[asyncio.StreamWriter] = set()
        self._left = asyncio.Event()
        self._former: list[asyncio.StreamWriter] = []
        self._answered = time.monotonic()

    @property
    def wanted(self) -> bool:
        """Whether somebody stands by."""
        return bool(self._next)

    async def acquire(self) -> None:
        """Wait until all names are held here; a disk that does not answer holds up nobody."""
        for lock in self._locks:
            while not await self._ask(True, _try, lock):
                await self._follow(lock)

    async def try_acquire(self) -> bool:
        """Hold all names that are free, without waiting; return whether those are all."""
        found = [await self._ask(True, _try, lock) for lock in self._locks]
        return all(found)

    async def _follow(self, lock: FileLock) -> None:
        """Return when the holder of a lock hands it over, ends, or was found to be dead."""
        endpoint, _, holder = (await self._ask("", lock.read)).partition("\n")
        with suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_unix_connection(self._plugin_dir / endpoint)
            try:
                while line := await _line(reader):
                    self._answered = time.monotonic()
                    self._stand_by_for(holder)
                    if line == _YOURS:
                        return self._former.append(writer)
            finally:
                self.holder = ""
                if writer not in self._former:
                    writer.close()
        if time.monotonic() - self._answered >= DEAD_SECONDS:
            self._answered = time.monotonic()
            facts = {"holder": holder}
            _log.warning("taking over from a silent agent", extra={"nodeplug": facts})
            await self._ask(None, remove_quietly, lock.path)
        return await asyncio.sleep(_RETRY_SECONDS)

    @property
    def contended(self) -> bool:
        """Whether another process has handed over, and waits until this one serves."""
        return bool(self._former)

    def _stand_by_for(self, holder: str) -> None:
        if holder != self.holder:
            _log.info("standing by", extra={"nodeplug": {"holder": holder}})
            self.holder = holder

    def taken(self) -> None:
        """Let those go who have handed over to this process: it serves what they did."""
        while self._former:
            self._former.pop().close()

    async def hold(self) -> None:
        """Keep what is held until cancelled. Raise LeaseLostError when another has taken it."""
        server = None
        try:
            while True:
                server = server or await self._listen()
                for writer in self._next:
                    writer.write(_SERVING)
                for lock in () if self._yields else self._locks:
                    if not await self._ask(True, self._keep, lock):
                        raise LeaseLostError(f"another agent of the installation has {lock.path}")
                await asyncio.sleep(_BEAT_SECONDS)
        finally:
            if server is not None:
                server.close()
            await self._disk.tidy(self._let_go)
            self._disk.close()
            forget(_WHAT)

    async def _listen(self) -> asyncio.Server | None:
        await self._ask(None, self._directory.open)
        self._path = self._directory.new_path().with_name("lease.sock")
        try:
            server = await asyncio.start_unix_server(self._meet, self._path)
        except OSError as error:
            fall_back(_WHAT, _LACKS, str(error))
            return None
        for lock in self._locks:
            await self._ask(None, self._announce, lock)
        return server

    async def _ask(self, otherwise: T, function: Callable[[*Args], T], *args: *Args) -> T:
        """Return what a function returns, or something else where the directory is of no use."""
        try:
            found = await self._disk.ask(otherwise, function, *args)
        except (OSError, KubeletDirectoryError) as error:
            fall_back(_WHAT, _LACKS, str(error))
            return otherwise
        recover(_WHAT)
        return found

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._next.add(writer)
        writer.write(_SERVING)
        with suppress(OSError):
            await reader.read()
        self._next.discard(writer)
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
                while waiting & self._next:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            _log.warning("the next agent does not serve in time, ending nevertheless")

    def _keep(self, lock: FileLock) -> bool:
        """Return whether a lock is still held; take it again where its file alone has gone."""
        if not lock.held_here_is_current():
            lock.release()
            if not _try(lock):
                return False
            self._announce(lock)
        return True

    def _announce(self, lock: FileLock) -> None:
        with suppress(OSError):  # the disk is full
            lock.write(f"{self._path.relative_to(self._plugin_dir)}\n{self._owner}")

    def _release(self) -> None:
        for lock in self._locks:
            lock.release()

    def _let_go(self) -> None:
        self._directory.close()
        self._release()


def _try(lock: FileLock) -> bool:
    lock.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return lock.try_acquire()


async def _line(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEAD_SECONDS):
        return await reader.readline()
