"""Everything on disk that must be there before a list shows its devices."""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from nodeplug.allocation import BackendHandle
from nodeplug.backend import HostFile, HostFiles, Labels
from nodeplug.cdi.store import SpecStore
from nodeplug.holdings import Key
from nodeplug.host.lane import Lane
from nodeplug.host.root import HostRoot
from nodeplug.host_files import HostFileStore
from nodeplug.kubelet.sockets import HOME
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.supervisor.features import feature_file
from nodeplug.supervisor.installation import file_name
from nodeplug.values.device import Device, Health

# A disk that takes longer is as good as none.
DISK_SECONDS = 10.0
# Nobody waits for longer where files are only to be removed.
_TIDY_SECONDS = 1.0

_log = logging.getLogger("nodeplug.supervisor")

InUse = Mapping[str, Collection[str]] | None


class Files:
    """CDI specifications and host files of all backends.

    `host` is the host's root, the CDI directory and, a path of the host, the directory for labels
    of the node; empty is nowhere. What another installation's agent has written with the same
    backend is left to it. `troubles` says by backend what raised when its files were worked out or
    written: then those that it had before stay. `unsettled` says by backend whether its files tell
    of nodes that may be changing.
    """

    def __init__(
        self,
        host: tuple[HostRoot, Path, str],
        plugin_dir: Path,
        installation: str,
    ) -> None:
        self._root, self._cdi_dir, self._feature_dir = host
        self._plugin_dir, self._installation = plugin_dir, installation
        self._lanes: defaultdict[str, Lane] = defaultdict(Lane)
        self._complete: dict[str, Mapping[str, Offer]] = {}
        self.troubles: dict[str, str] = {}
        self.unsettled: dict[str, bool] = {}

    async def settle(self) -> None:
        """Return when nothing is being written any more, or the disk does not answer."""
        for lane in self._lanes.values():
            with suppress(RuntimeError, TimeoutError):
                await lane.call(bool, timeout=DISK_SECONDS)

    async def bring_in_line(
        self,
        backend: BackendHandle,
        offers: Mapping[str, Offer],
        in_use: InUse,
    ) -> dict[Key, str]:
        """Write and remove files until they fit the offers; what was asked for last is what stands.

        Return what could not be written, by resource and device; no device stands for all.
        """
        before, self.troubles[backend.name] = self.troubles.get(backend.name, ""), ""
        wanted, unknown = self._wanted(backend, offers)
        needy = [name for name, offer in offers.items() if offer.inject != "devices"]
        patience = DISK_SECONDS if needy or wanted else _TIDY_SECONDS
        try:
            specs = SpecStore(
                self._cdi_dir, backend.name, self._ledger("cdi-files", backend.name), self._root
            )
            failures = await self._lanes[backend.name].call(
                self._reconcile, specs, offers, (backend.name, wanted), in_use, timeout=patience
            )
            self.unsettled[backend.name] = specs.unsettled
            return failures | self._unknown(backend.name, offers, unknown)
        except Exception as error:  # noqa: BLE001 - one backend's files never take down another
            self._note(backend.name, "files", error)
            return {(name, ""): f"files not written: {error!r}" for name in needy}
        finally:
            if (trouble := self.troubles[backend.name]) not in {"", before}:
                facts = {"backend": backend.name, "error": trouble}
                _log.error("files not written", extra={"nodeplug": facts})

    def _reconcile(
        self,
        specs: SpecStore,
        offers: Mapping[str, Offer],
        of_backend: tuple[str, list[HostFile] | None],
        in_use: InUse,
    ) -> dict[Key, str]:
        failures = specs.reconcile(offers, in_use)
        backend, wanted = of_backend
        if wanted is not None:
            ledger = self._ledger("host-files", backend)
            former = ledger.with_name(f"{backend}.json")
            if former.exists() and not ledger.exists():
                former.rename(ledger)
            store = HostFileStore(self._root, ledger)
            try:
                failures |= store.reconcile(wanted, in_use, keep=bool(self.troubles[backend]))
            except Exception as error:  # noqa: BLE001 - what a backend wants is its own
                self._note(backend, "host files", error)
        # What belongs to no resource takes none out of service, which would tell of it.
        for why in [why for (resource, _), why in failures.items() if not resource]:
            self.troubles[backend] = f"files: {why}"
        return failures

    def _wanted(
        self, backend: BackendHandle, offers: Mapping[str, Offer]
    ) -> tuple[list[HostFile] | None, str]:
        """Return the files that a backend wants, and why they may not be all, or empty."""
        current: object = backend.current
        if not isinstance(current, HostFiles | Labels):
            return None, ""
        wanted: list[HostFile] = []
        unknown = ""
        if isinstance(current, HostFiles):
            try:
                wanted += current.host_files(_devices(offers))
            except Exception as error:  # noqa: BLE001 - whatever a backend raises
                self._note(backend.name, "host files", error)
                unknown = f"its files are not known: {error!r}"
        if self._feature_dir and isinstance(current, Labels):
            try:
                path = f"{self._feature_dir}/nodeplug-{self._own_name(backend.name)}"
                wanted.append(feature_file(path, backend.name, current, offers))
            except Exception as error:  # noqa: BLE001 - whatever a backend raises
                self._note(backend.name, "labels", error)
        return wanted, unknown

    def _unknown(self, backend: str, offers: Mapping[str, Offer], why: str) -> dict[Key, str]:
        """Return the devices that are new since a backend's files were known, if they are not."""
        if not why:
            self._complete[backend] = offers
            return {}
        known = _keys(self._complete.get(backend, {}))
        return dict.fromkeys(_keys(offers) - known, why)

    def _ledger(self, kind: str, backend: str) -> Path:
        return self._plugin_dir / HOME / kind / f"{self._own_name(backend)}.json"

    def _own_name(self, backend: str) -> str:
        return f"{backend}-{file_name(self._installation)}"

    def _note(self, backend: str, what: str, error: Exception) -> None:
        self.troubles[backend] = f"{what}: {error!r}"


def without_lacking(offers: Mapping[str, Offer], failures: Mapping[Key, str]) -> dict[str, Offer]:
    """Return the offers with the devices Unhealthy that lack a file."""
    if not failures:
        return dict(offers)
    return {
        name: structs.replace(
            offer, devices=tuple(_judged(name, each, failures) for each in offer.devices)
        )
        for name, offer in offers.items()
    }


def _judged(resource: str, offered: OfferedDevice, failures: Mapping[Key, str]) -> OfferedDevice:
    device = offered.device
    reason = failures.get((resource, device.id)) or failures.get((resource, ""))
    if not reason or not device.healthy:
        return offered
    sick = replace(device, health=Health.UNHEALTHY, reason=reason)
    return OfferedDevice(offered.id, sick)


def _devices(offers: Mapping[str, Offer]) -> dict[str, list[Device]]:
    return {
        name: list({each.device.id: each.device for each in offer.devices}.values())
        for name, offer in offers.items()
    }


def _keys(offers: Mapping[str, Offer]) -> set[Key]:
    return {(name, each.device.id) for name, offer in offers.items() for each in offer.devices}
