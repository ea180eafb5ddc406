"""The agent: all backends, all resources, one kubelet."""

import asyncio
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from nodeplug.allocation import Allocator, BackendHandle
from nodeplug.backend import BackendSpec
from nodeplug.config.settings import CDI_DIR
from nodeplug.holdings import Holdings
from nodeplug.host.boot import boot_id
from nodeplug.host.calls import Lane, call
from nodeplug.host.fallbacks import fallbacks
from nodeplug.host.host import Host
from nodeplug.host.ledger import Ledger
from nodeplug.kubelet.serving import ServedResource, Site
from nodeplug.kubelet.sockets import HOME, REGISTRY_HOME, SocketDirectory
from nodeplug.kubelet.translate import encode_listed
from nodeplug.kubelet.watch import KubeletWatch
from nodeplug.offers import Offer, OfferRule, make_offers
from nodeplug.pool import ResourcePool
from nodeplug.quarantine import QuarantineRule, isolate
from nodeplug.supervisor.backend_runner import BackendRunner
from nodeplug.supervisor.files import DISK_SECONDS, Files, without_lacking
from nodeplug.supervisor.forgetting import Forgetting
from nodeplug.supervisor.hardware import HardwareLook
from nodeplug.supervisor.installation import identities
from nodeplug.supervisor.last_good import LastGood
from nodeplug.supervisor.report import AgentReport, ResourceReport
from nodeplug.supervisor.served_names import ServedNames
from nodeplug.supervisor.usage import UsageWatch
from nodeplug.values.errors import ListTooLargeError
from nodeplug.values.inventory import Inventory

# A disk that is full may have room again.
_RETRY_SECONDS = 10.0

_log = logging.getLogger("nodeplug.supervisor")


class ConfiguredBackend(NamedTuple):
    """A backend with its settings, an instance of the type its spec names; None lets it idle."""

    spec: BackendSpec
    settings: Any | None


class Rules(NamedTuple):
    """What the operator says of all devices: how they are offered, which are out of service.

    Of the latter, some are `annotated`: an annotation of the node says so.
    """

    offers: Sequence[OfferRule] = ()
    quarantine: Sequence[QuarantineRule] = ()
    annotated: Sequence[QuarantineRule] = ()


class Node(NamedTuple):
    """What an agent is told of its node.

    `plugin_dir` is the kubelet's device plugin directory and `pod_resources` its pod resources
    socket, both as this process sees them; `rules` say how resources are advertised; in `cdi_dir`
    the container runtime looks for specifications. In `feature_dir`, a path of the host, labels
    of the node are written; empty is nowhere. With `registry`, the kubelet's plugin registry
    directory, the kubelet finds resources there instead of being called. `installation` tells
    whose names are still served for pods that have their devices, and whose settings are kept for
    a start with broken ones. In `ledger_dir` all agents of the node note what they have given;
    by default that is below `plugin_dir`.
    """

    plugin_dir: Path
    pod_resources: Path
    rules: Rules = Rules()
    cdi_dir: Path = Path(CDI_DIR)
    feature_dir: str = ""
    registry: Path | None = None
    installation: str = ""
    ledger_dir: Path | None = None


class _Owned(NamedTuple):
    backend: str
    served: ServedResource


class Agent:
    """Serves the devices of some backends until `run` is cancelled."""

    def __init__(
        self,
        backends: Sequence[ConfiguredBackend],
        host: Host,
        node: Node,
    ) -> None:
        self.rules, plugin_dir, installation = node.rules, node.plugin_dir, node.installation
        self._holdings = Holdings()
        names = ", ".join(spec.name for spec, _ in backends)
        owner = f"the agent for {names} of installation {installation!r}, process {os.getpid()}"
        ledger_dir = node.ledger_dir or plugin_dir / HOME / "ledger"
        self._holdings.rivals_changed = self._refresh_soon
        self._ledger = Ledger(ledger_dir, owner, boot_id(host.root.root))
        forgetting = Forgetting(ledger_dir, owner, self._holdings)
        self._hardware = HardwareLook(host.root, node.cdi_dir)
        host = replace(host, identities=identities(plugin_dir, installation, writes=True))
        self._watch = KubeletWatch(plugin_dir)
        found = SocketDirectory(node.registry, REGISTRY_HOME) if node.registry else None
        self._site = Site(SocketDirectory(plugin_dir), self._watch, found)
        self._resources: dict[str, _Owned] = {}
        self._refused: set[tuple[str, str]] = set()
        self._tasks = asyncio.TaskGroup()
        self._files = Files(node.cdi_dir, host.root, plugin_dir, node.feature_dir)
        self._publishing = asyncio.Lock()
        self._keeping_settings, self._keeping_names = Lane(), Lane()
        self._retrying: set[str] = set()
        self._last_good = LastGood(plugin_dir, installation)
        self._names = ServedNames(plugin_dir, installation)
        self._kept_names: Mapping[str, str] = {}
        self._latest: dict[str, tuple[BackendHandle, Inventory]] = {}
        self._runners = {spec.name: BackendRunner(spec, host, self) for spec, _ in backends}
        for spec, settings in backends:
            self._runners[spec.name].configure(settings)
        self._usage = UsageWatch(
            (node.pod_resources, plugin_dir),
            self._watch,
            (self._holdings, self._ledger, forgetting),
            self._hardware,
            self._pools,
        )

    def report(self) -> AgentReport:
        """Return how everything is at this moment."""
        resources = tuple(
            ResourceReport(backend, own.pool, own.streams, own.registered, own.error, own.socket)
            for backend, own in self._resources.values()
        )
        backends = tuple(runner.report for runner in self._runners.values())
        stale = time.monotonic() - self._watch.looked
        now = time.monotonic()
        holds = {key: now - since for key, since in self._holdings.blocking().items()}
        present = self._watch.identity is not None
        trouble = self._ledger.trouble
        return AgentReport(resources, backends, present, stale, holds, trouble, fallbacks())

    async def run(self) -> None:
        """Serve until cancelled. Raise KubeletDirectoryError when the directory is unusable."""
        with self._site.opened(), closing(self._ledger):
            self._open_ledger()
            await self._usage.look_once()
            async with self._tasks as tasks:
                await self._serve_former_names()
                tasks.create_task(self._watch.run())
                tasks.create_task(self._usage.run())
                for runner in self._runners.values():
                    tasks.create_task(runner.run())

    def _open_ledger(self) -> None:
        self._holdings.learn(self._ledger.open())
        self._holdings.settled(self._ledger.own.values())

    async def _serve_former_names(self) -> None:
        # R28: without its resource a container that restarts would fail.
        try:
            names = await call(self._names.load, timeout=DISK_SECONDS)
        except TimeoutError:
            _log.warning("former names of resources not read, the disk does not answer")
            return
        for name, backend in names.items():
            if self._holdings.held_in(name):
                runner = self._runners.get(backend)
                self._serve(Offer(name), runner.handle if runner else BackendHandle(backend))

    async def apply(self, rules: Rules, settings: Mapping[str, Any]) -> list[str]:
        """Take over a new configuration; return what of it is new.

        Backends that are not in `settings` go on as they are. What does not change is not
        disturbed: no message is sent for it.
        """
        changed = [name for name, new in settings.items() if self._runners[name].configure(new)]
        if rules != self.rules:
            self.rules = rules
            changed.append("rules")
            for name in list(self._latest):
                await self._bring_out(name)
        return changed

    async def proved(self, backend: str, settings: Any) -> None:
        """Keep settings that work for a start at which the file is broken."""
        try:
            await self._keeping_settings.call(
                self._last_good.save, backend, settings, timeout=DISK_SECONDS
            )
        except TimeoutError:
            _log.warning("settings not kept, the disk does not answer")

    async def publish(self, backend: BackendHandle, inventory: Inventory) -> None:
        """Take over a backend's new truth: what is gone, what has changed, what is new."""
        self._latest[backend.name] = backend, inventory
        await self._bring_out(backend.name)

    async def _bring_out(self, name: str) -> None:
        """Serve what a backend said last, under the rules of now.

        Files that containers will need are in place before the list that shows their devices.
        """
        arrived = time.monotonic()
        async with self._publishing:
            backend, inventory = self._latest[name]
            isolated = [*self.rules.quarantine, *self.rules.annotated]
            own = isolate(self._without_foreign_ids(name, inventory), isolated)
            offers, unseen = await self._with_hardware(make_offers(own, self.rules.offers))
            failures = await self._files.bring_in_line(backend, offers, self._holdings.in_use())
            self._take_over(backend, without_lacking(offers, failures), arrived)
            await self._keep_names()
        if (failures or unseen) and name not in self._retrying:
            self._retrying.add(name)
            self._tasks.create_task(self._retry(name))

    async def _with_hardware(self, offers: Mapping[str, Offer]) -> tuple[Mapping[str, Offer], bool]:
        """Return the offers with what hardware they are; look at what is held, too.

        And whether that could not be seen in time: what is not known is not given.
        """
        before = self._holdings.known()
        try:
            found, after = await call(self._hardware.of_all, offers, before, timeout=DISK_SECONDS)
        except (OSError, TimeoutError) as error:
            _log.error("hardware not looked at", extra={"nodeplug": {"error": repr(error)}})
            return self._hardware.remembered(offers), True
        self._holdings.derive(before, after)
        return found, False

    async def _keep_names(self) -> None:
        names = {name: owned.backend for name, owned in self._resources.items()}
        if names != self._kept_names:
            try:
                await self._keeping_names.call(self._names.save, names, timeout=DISK_SECONDS)
            except TimeoutError:
                _log.warning("names of resources not kept, the disk does not answer")
            else:
                self._kept_names = names

    async def _retry(self, name: str) -> None:
        await asyncio.sleep(_RETRY_SECONDS)
        self._retrying.discard(name)
        await self._bring_out(name)

    def _take_over(self, backend: BackendHandle, offers: dict[str, Offer], arrived: float) -> None:
        generation = self._holdings.generation
        for name, owned in self._resources.items():
            if owned.backend == backend.name:
                self._replace(owned.served.pool, offers.pop(name, Offer(name)), arrived)
        for name, offer in offers.items():
            if name in self._resources:
                self._refuse(name, backend.name, self._resources[name].backend)
            else:
                self._serve(offer, backend)
        self._refresh_since(generation)

    def _refresh_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._refresh_all)

    def _refresh_all(self) -> None:
        for pool in self._pools():
            pool.refresh()

    def _refresh_since(self, generation: int) -> None:
        if self._holdings.generation != generation:
            self._refresh_all()

    def condemn(self, backend: BackendHandle) -> None:
        """Turn all devices of a backend Unhealthy until its next inventory."""
        generation = self._holdings.generation
        for owned in self._resources.values():
            if owned.backend == backend.name:
                owned.served.pool.condemn("backend down")
        self._refresh_since(generation)

    def _serve(self, offer: Offer, backend: BackendHandle) -> None:
        pool = ResourcePool(offer.resource, self._holdings, encode_listed)
        pool.recheck()
        self._replace(pool, offer)
        allocator = Allocator(pool, self._holdings, self._ledger, backend)
        served = ServedResource(pool, allocator, self._site)
        self._resources[offer.resource] = _Owned(backend.name, served)
        self._tasks.create_task(served.run())

    def _replace(self, pool: ResourcePool, offer: Offer, news: float = 0) -> None:
        try:
            pool.replace(offer, news)
        except ListTooLargeError as error:
            _log.error("device list refused", extra={"nodeplug": {"error": str(error)}})

    def _without_foreign_ids(self, backend: str, inventory: Inventory) -> Inventory:
        # R23: the kubelet looks up the pods of a sick device by its id over all resources.
        foreign = {
            offered.id: owned.backend
            for owned in self._resources.values()
            if owned.backend != backend
            for offered in owned.served.pool.offer.devices
        }
        clashes = inventory.devices.keys() & foreign.keys()
        for device_id in sorted(clashes):
            self._refuse(device_id, backend, foreign[device_id])
        if not clashes:
            return inventory
        kept = {i: device for i, device in inventory.devices.items() if i not in clashes}
        return replace(inventory, devices=kept)

    def _refuse(self, name: str, backend: str, owner: str) -> None:
        if (name, backend) not in self._refused:
            self._refused.add((name, backend))
            facts = {"name": name, "backend": backend, "served_by": owner}
            _log.error("name is another backend's already", extra={"nodeplug": facts})

    def _pools(self) -> list[ResourcePool]:
        return [owned.served.pool for owned in self._resources.values()]
