"""The agent: all backends, all resources, one kubelet."""

import asyncio
import logging
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec

from nodeplug.allocation import BackendHandle
from nodeplug.backend import BackendSpec
from nodeplug.holdings import Holdings
from nodeplug.host.boot import boot_id
from nodeplug.host.fallbacks import fall_back, fallbacks, recover
from nodeplug.host.host import Host
from nodeplug.host.lane import Lane
from nodeplug.host.ledger import Ledger
from nodeplug.kubelet.evidence import CheckpointFile
from nodeplug.kubelet.serving import Site
from nodeplug.kubelet.sockets import HOME, REGISTRY_HOME, SocketDirectory
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.offers import Offer
from nodeplug.pool import ResourcePool
from nodeplug.supervisor import troubles
from nodeplug.supervisor.backend_runner import STANDS_SECONDS, BackendRunner
from nodeplug.supervisor.files import DISK_SECONDS, Files
from nodeplug.supervisor.forgetting import Forgetting
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.supervisor.installation import identities, owner_of
from nodeplug.supervisor.kept_up import kept_up
from nodeplug.supervisor.last_good import LastGood
from nodeplug.supervisor.node import ConfiguredBackend, Node, Rules
from nodeplug.supervisor.offering import Offering
from nodeplug.supervisor.report import AgentReport
from nodeplug.supervisor.resources import Resources
from nodeplug.supervisor.served_names import ServedNames
from nodeplug.supervisor.usage import UsageWatch
from nodeplug.values.inventory import Inventory
from nodeplug.values.trouble import Trouble

__all__ = ["Agent", "ConfiguredBackend", "Node", "Rules"]

# A disk that is full may have room again.
_KEEP_SECONDS = 10.0
_NOT_KEPT = "not kept for another start"
# Former names that could not be read are asked for so often.
_RETRY_SECONDS = 2.0

_log = logging.getLogger("nodeplug.supervisor")


class Agent:
    """Serves the devices of some backends until `run` is cancelled.

    `settings` are those of the agent that are in force, as they are kept for another start.
    """

    def __init__(
        self,
        backends: Sequence[ConfiguredBackend],
        host: Host,
        node: Node,
    ) -> None:
        plugin_dir, installation = node.plugin_dir, node.installation
        self._holdings = Holdings()
        owner = owner_of((spec.name for spec, _ in backends), installation)
        ledger_dir = node.ledger_dir or plugin_dir / HOME / "ledger"
        self._ledger = Ledger(ledger_dir, owner, boot_id(host.root.root))
        forgetting = Forgetting(ledger_dir, owner, self._holdings)
        hardware = HardwareLook(host.root, node.cdi_dir)
        host = msgspec.structs.replace(
            host, identities=identities(plugin_dir, installation, writes=True)
        )
        sockets, found = SocketDirectory(plugin_dir), None
        if node.registry:
            found = SocketDirectory(node.registry, REGISTRY_HOME, "the kubelet's plugin registry")
        self._watch = KubeletWatch(plugin_dir, sockets.disk)
        own_troubles = lambda: tuple(self._troubles())  # noqa: E731
        self._site = Site(sockets, self._watch, found, own_troubles, node.contended, owner)
        self._tasks = asyncio.TaskGroup()
        self._resources = Resources(self._holdings, self._ledger, self._site, self._tasks)
        self._holdings.rivals_changed = self._resources.refresh_soon
        paths = host.root, node.cdi_dir, node.feature_dir
        self._files = files = Files(paths, plugin_dir, installation)
        self._publishing = asyncio.Lock()
        self._offering = Offering(self._resources, files, hardware, self._holdings, self._tasks)
        self._offering.rules, self._offering.former = node.rules, node.former
        self._offering.turn, self._offering.afterwards = self._publishing, self._keep_names
        self._keeping_settings = Lane()
        self.settings, self._last_good = node.settings, LastGood(plugin_dir, installation)
        self._unkept: Mapping[str, Any] = {}
        self._keeps_again = False
        self._names = ServedNames(plugin_dir, installation, sockets.disk)
        self._former_names: dict[str, str] = {}
        self._running: list[asyncio.Task[None]] = []
        self._released = False
        self._runners = {spec.name: BackendRunner(spec, host, self) for spec, _ in backends}
        for spec, settings in backends:
            self._configure(spec.name, settings)
        self._usage = UsageWatch(
            (node.pod_resources, CheckpointFile(plugin_dir, sockets.disk)),
            self._watch,
            (self._holdings, self._ledger, forgetting),
            hardware,
            self._pools,
        )

    @property
    def rules(self) -> Rules:
        """What the operator says of all devices now."""
        return self._offering.rules

    def report(self) -> AgentReport:
        """Return how everything is at this moment."""
        backends = tuple(runner.report for runner in self._runners.values())
        stale = time.monotonic() - self._watch.looked
        now = time.monotonic()
        holds = {key: now - since for key, since in self._holdings.blocking().items()}
        return AgentReport(
            self._resources.reports(),
            backends,
            self._watch.identity is not None and not self._watch.trouble,
            stale,
            holds,
            self._ledger.trouble,
            fallbacks(),
            tuple(self._troubles()),
            released=self._released,
        )

    def _troubles(self) -> Iterator[Trouble]:
        for name, runner in self._runners.items():
            yield from troubles.of_backend(runner.report)
            yield from self._offering.troubles(name)
        for pool in self._pools():
            yield from troubles.of_pool(pool)
        yield from troubles.of_kubelet(self._watch)
        there = self._watch.identity is not None and not self._watch.trouble
        silent = there and self._usage.silent
        yield from troubles.of_evidence(self._ledger.trouble, silent=silent)
        yield from troubles.of_fallbacks(fallbacks())

    async def run(self) -> None:
        """Serve until cancelled. Raise KubeletDirectoryError when the directory is unusable."""
        async with self._site.opened():
            with closing(self._ledger):
                await self._serve()

    async def _serve(self) -> None:
        self._open_ledger()
        await self._usage.look_once()
        async with self._tasks as tasks:
            if not await self._serve_former_names():
                tasks.create_task(self._serve_former_names_later())
            tasks.create_task(kept_up("watching the kubelet", self._watch.run))
            tasks.create_task(kept_up("watching use", self._usage.run))
            runs = (runner.run() for runner in self._runners.values())
            self._running = [tasks.create_task(each) for each in runs]

    async def serving(self) -> None:
        """Return when all that backends have found at first is followed by the kubelet."""
        for runner in self._runners.values():
            await runner.settled.wait()
        await self._resources.followed()

    async def release(self) -> None:
        """Let another agent of the installation take over: serve on what is served, unchanged.

        Nothing is written any more but what containers are given.
        """
        self._released = True
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._publishing.acquire()  # for good
        await self._files.settle()
        await self._resources.release()

    def _open_ledger(self) -> None:
        self._holdings.learn(self._ledger.open())
        self._holdings.settled(self._ledger.own.values())

    async def _serve_former_names(self) -> bool:
        # R28: without its resource a container that restarts would fail.
        names = await self._names.load()
        if names is None:
            return False
        held = {name: own for name, own in names.items() if self._holdings.held_in(name)}
        self._former_names.update(held)
        self._serve_former({*held.values()} - self._runners.keys())
        self._tasks.create_task(self._serve_late_names())
        return True

    async def _serve_late_names(self) -> None:
        await asyncio.sleep(STANDS_SECONDS)
        if not self._released:
            self._serve_former(self._runners)

    def _serve_former(self, backends: Collection[str]) -> None:
        """Serve what is left of the former names of these backends.

        R25: no list is sent before a backend has told what there is, unless it takes long.
        """
        for name, backend in [each for each in self._former_names.items() if each[1] in backends]:
            del self._former_names[name]
            if name not in self._resources.owners:
                runner = self._runners.get(backend)
                handle = runner.handle if runner else BackendHandle(backend)
                self._resources.serve(Offer(name), handle)

    async def _serve_former_names_later(self) -> None:
        while not await self._serve_former_names():  # noqa: ASYNC110 - disks tell nobody
            await asyncio.sleep(_RETRY_SECONDS)

    async def apply(self, rules: Rules, settings: Mapping[str, Any]) -> list[str]:
        """Take over a new configuration; return what of it is new.

        Backends that are not in `settings` go on as they are. What does not change is not
        disturbed: no message is sent for it.
        """
        changed = [name for name, new in settings.items() if self._configure(name, new)]
        if rules != (before := self.rules):
            changed.append("rules")
            await self._offering.apply(rules)
            if rules._replace(annotated=before.annotated) != before:
                await self._keep({})
        return changed

    def _configure(self, name: str, settings: Any | None) -> bool:
        runner = self._runners[name]
        self._offering.expect(name, _names_of(runner.spec, settings))
        return runner.configure(settings)

    async def proved(self, backend: str, settings: Any) -> None:
        """Keep settings that work for a start at which the file is broken."""
        await self._keep({backend: settings})

    async def _keep(self, sections: Mapping[str, Any]) -> None:
        if self._offering.is_whole:
            offers, quarantine, _ = map(tuple, self.rules)
            kept = msgspec.structs.replace(self.settings, offers=offers, quarantine=quarantine)
            self.settings = kept
        self._unkept = unkept = {**self._unkept, **sections}
        try:
            await self._keeping_settings.call(
                self._last_good.save, self.settings, unkept, timeout=DISK_SECONDS
            )
        except Exception as error:  # noqa: BLE001 - it is for another start
            fall_back("configuration", _NOT_KEPT, repr(error))
            if not self._keeps_again:
                self._keeps_again = True
                self._tasks.create_task(self._keep_again())
        else:
            left = self._unkept.items()
            self._unkept = {name: own for name, own in left if unkept.get(name) is not own}
            recover("configuration")

    async def _keep_again(self) -> None:
        await asyncio.sleep(_KEEP_SECONDS)
        self._keeps_again = False
        if not self._released:
            await self._keep({})

    async def publish(self, backend: BackendHandle, inventory: Inventory) -> None:
        """Take over a backend's new truth: what is gone, what has changed, what is new."""
        await self._offering.learn(backend, inventory)

    async def _keep_names(self, backend: str) -> None:
        self._serve_former([backend])
        try:
            await self._names.save({**self._former_names, **self._resources.owners})
        except Exception as error:  # noqa: BLE001 - they are for another start
            fall_back("names of resources", _NOT_KEPT, repr(error))
        else:
            recover("names of resources")

    def _pools(self) -> list[ResourcePool]:
        return self._resources.pools()

    def condemn(self, backend: BackendHandle) -> None:
        """Turn all devices of a backend Unhealthy until its next inventory."""
        self._resources.condemn(backend.name)


def _names_of(spec: BackendSpec, settings: Any | None) -> Collection[str]:
    """Return what a backend calls its resources, as far as that is known before its devices are."""
    what = f"names of backend {spec.name}"
    try:
        names = spec.own_names(settings)
    except Exception as error:  # noqa: BLE001 - whatever a backend raises
        fall_back(what, "not known before its devices are", repr(error))
        return ()
    recover(what)
    return names
