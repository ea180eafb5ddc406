"""Watching for the kubelet: its presence, and its identity over restarts."""

import asyncio
import logging
import os
import time
from contextlib import suppress
from pathlib import Path

import msgspec

from nodeplug.host.disk import Disk
from nodeplug.host.distant_watch import DistantWatch
from nodeplug.kubelet.sockets import KUBELET_SOCKET, check_plugin_dir
from nodeplug.meters.catalogue import KUBELET_RESTARTS

# R10: covers lost inotify events and a watch on a directory that was replaced.
POLL_SECONDS = 2.0

_log = logging.getLogger("nodeplug.kubelet")


class Identity(msgspec.Struct, frozen=True):
    """What tells one start of the kubelet from the next (R9); inode numbers are reused."""

    device: int
    inode: int
    mtime_ns: int


class KubeletWatch:
    """The identity of the kubelet that listens in the directory, or None.

    While the directory's disk does not answer, that is the last one known. `trouble` is why the one
    that is there does not answer, or empty; of that one line is logged, however many call it.
    `wakers` are set after every look, whether or not the identity changed; `looks` counts them,
    `looked` is when the last one was, by the monotonic clock.
    """

    def __init__(self, plugin_dir: Path, disk: Disk) -> None:
        self.identity: Identity | None = None
        self.trouble = ""
        self.looks = 0
        self.looked = time.monotonic()
        self.wakers: set[asyncio.Event] = set()
        self._plugin_dir = plugin_dir
        self._disk = disk
        self._seen = False
        self._changed = asyncio.Event()
        self._due = asyncio.Event()

    async def run(self) -> None:
        """Watch until cancelled. Raise KubeletDirectoryError once the mount is a dead one."""
        watching = DistantWatch(self._due.set, "the kubelet")
        async with watching as changes, asyncio.TaskGroup() as tasks:
            changes.add(self._plugin_dir, frozenset({KUBELET_SOCKET}))
            tasks.create_task(self._poll())
            async for _ in changes:
                await self._look()

    async def _look(self) -> None:
        """Compare with what is there now."""
        try:
            found = await self._disk.call(self._find)
        except TimeoutError:
            found = self.identity
        self.looks += 1
        self.looked = time.monotonic()
        if found != self.identity:
            if found is not None and self._seen:
                KUBELET_RESTARTS.add()
            self._seen = self._seen or found is not None
            self.identity = found
            self._changed.set()
            self._changed = asyncio.Event()
        for waker in self.wakers:
            waker.set()

    def heard(self, trouble: str) -> None:
        """Hear from whoever called the kubelet why it did not answer, or empty that it did."""
        if trouble and not self.trouble:
            _log.warning("the kubelet does not answer", extra={"nodeplug": {"error": trouble}})
        self.trouble = trouble

    async def present(self) -> Identity:
        """Return the identity as soon as there is one."""
        while self.identity is None:
            await self._changed.wait()
        return self.identity

    async def gone(self, identity: Identity) -> None:
        """Return when this kubelet is no more, or another one has taken its place."""
        while self.identity == identity:
            await self._changed.wait()

    async def _poll(self) -> None:
        while True:
            self._due.clear()
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._due.wait()

    def _find(self) -> Identity | None:
        try:
            found = os.stat(self._plugin_dir / KUBELET_SOCKET)  # noqa: PTH116 - on the hot path
        except OSError:
            self._check_mount()
            return None
        return Identity(found.st_dev, found.st_ino, found.st_mtime_ns)

    def _check_mount(self) -> None:
        try:
            dead = self._plugin_dir.stat().st_nlink == 0
        except OSError:
            return
        if dead:
            check_plugin_dir(self._plugin_dir)
