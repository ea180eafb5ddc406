"""The resources that an agent serves, each with its list and its servers."""

import asyncio
import logging
from collections.abc import Mapping
from typing import NamedTuple

from nodeplug.allocation import Allocator, BackendHandle
from nodeplug.holdings import Holdings
from nodeplug.host.ledger import Ledger
from nodeplug.kubelet.serving import ServedResource, Site
from nodeplug.kubelet.translate import encode_listed
from nodeplug.offers import Offer
from nodeplug.pool import ResourcePool
from nodeplug.supervisor.report import ResourceReport
from nodeplug.values.errors import ListTooLargeError

_log = logging.getLogger("nodeplug.supervisor")


class _Owned(NamedTuple):
    backend: str
    served: ServedResource
    allocator: Allocator


class Resources:
    """Serves resources by public name, each for one backend, as tasks of a group."""

    def __init__(
        self, holdings: Holdings, ledger: Ledger, site: Site, tasks: asyncio.TaskGroup
    ) -> None:
        self._holdings, self._ledger = holdings, ledger
        self._site, self._tasks = site, tasks
        self._owned: dict[str, _Owned] = {}

    @property
    def owners(self) -> Mapping[str, str]:
        """The backends of all resources."""
        return {name: owned.backend for name, owned in self._owned.items()}

    def pools(self) -> list[ResourcePool]:
        """Return all lists."""
        return [owned.served.pool for owned in self._owned.values()]

    def reports(self) -> tuple[ResourceReport, ...]:
        """Return how each stands with the kubelet."""
        return tuple(
            ResourceReport(
                *(backend, own.pool, own.streams, own.registered, own.error, own.socket, own.holder)
            )
            for backend, own, _ in self._owned.values()
        )

    async def release(self) -> None:
        """Let another agent have all of it, and serve it on unchanged."""
        await asyncio.gather(*(owned.served.release() for owned in self._owned.values()))

    async def followed(self) -> None:
        """Return when the kubelet follows the list of each."""
        await asyncio.gather(*(owned.served.followed() for owned in self._owned.values()))

    def foreign_ids(self, backend: str) -> Mapping[str, str]:
        """Return the ids that other backends offer, and which do."""
        return {
            offered.id: owned.backend
            for owned in self._owned.values()
            if owned.backend != backend
            for offered in owned.served.pool.offer.devices
        }

    def take_over(self, backend: BackendHandle, offers: Mapping[str, Offer], news: float) -> None:
        """Offer what a backend has now and nothing else of it; `news` is when it was known.

        A name that another backend had is this one's from now on: what containers have by it
        stays listed.
        """
        generation = self._holdings.generation
        for name, owned in self._owned.items():
            if owned.backend == backend.name or name in offers:
                self._owned[name] = owned._replace(backend=backend.name)
                owned.allocator.backend = backend
                self._replace(owned.served.pool, offers.get(name, Offer(name)), news)
        for name in [each for each in offers if each not in self._owned]:
            self.serve(offers[name], backend)
        self._refresh_since(generation)

    def serve(self, offer: Offer, backend: BackendHandle) -> None:
        """Serve a resource from now on."""
        pool = ResourcePool(offer.resource, self._holdings, encode_listed)
        self._replace(pool, offer)
        pool.recheck()
        allocator = Allocator(pool, self._holdings, self._ledger, backend)
        served = ServedResource(pool, allocator, self._site)
        self._owned[offer.resource] = _Owned(backend.name, served, allocator)
        self._tasks.create_task(served.run())

    def condemn(self, backend: str) -> None:
        """Turn all devices of a backend Unhealthy until its next offers."""
        generation = self._holdings.generation
        for owned in self._owned.values():
            if owned.backend == backend:
                owned.served.pool.condemn("backend down")
        self._refresh_since(generation)

    def refresh_soon(self) -> None:
        """Work out all lists anew at the next turn of the loop."""
        asyncio.get_running_loop().call_soon(self._refresh_all)

    def _refresh_all(self) -> None:
        for pool in self.pools():
            pool.refresh()

    def _refresh_since(self, generation: int) -> None:
        if self._holdings.generation != generation:
            self._refresh_all()

    def _replace(self, pool: ResourcePool, offer: Offer, news: float = 0) -> None:
        try:
            pool.replace(offer, news)
        except ListTooLargeError as error:
            _log.error("device list refused", extra={"nodeplug": {"error": str(error)}})
