"""Everything on disk that must be there before a list shows its devices."""

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from nodeplug.allocation import BackendHandle
from nodeplug.backend import HostFile, HostFiles, Labels
from nodeplug.cdi.store import SpecStore
from nodeplug.holdings import Key
from nodeplug.host.calls import Lane
from nodeplug.host.root import HostRoot
from nodeplug.host_files import HostFileStore
from nodeplug.kubelet.sockets import HOME
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.supervisor.features import feature_file
from nodeplug.values.device import Device, Health

# A disk that takes longer is as good as none.
DISK_SECONDS = 10.0

_log = logging.getLogger("nodeplug.supervisor")

InUse = Mapping[str, Collection[str]] | None


class Files:
    """CDI specifications and host files of all backends.

    Labels of the node are written to `feature_dir`, a path of the host; empty is nowhere.
    """

    def __init__(
        self, cdi_dir: Path, root: HostRoot, plugin_dir: Path, feature_dir: str = ""
    ) -> None:
        self._cdi_dir = cdi_dir
        self._feature_dir = feature_dir
        self._root = root
        self._ledgers = plugin_dir / HOME / "host-files"
        self._lanes: defaultdict[str, Lane] = defaultdict(Lane)

    async def bring_in_line(
        self, backend: BackendHandle, offers: Mapping[str, Offer], in_use: InUse
    ) -> dict[Key, str]:
        """Write and remove files until they fit the offers; what was asked for last is what stands.

        Return what could not be written, by resource and device; no device stands for all.
        """
        try:
            wanted = self._wanted(backend, offers)
            return await self._lanes[backend.name].call(
                self._reconcile, backend.name, offers, wanted, in_use, timeout=DISK_SECONDS
            )
        except (OSError, TimeoutError) as error:
            _log.error("files not written", extra={"nodeplug": {"error": repr(error)}})
            needy = [name for name, offer in offers.items() if offer.inject != "devices"]
            return {(name, ""): f"files not written: {error!r}" for name in needy}

    def _reconcile(
        self,
        backend: str,
        offers: Mapping[str, Offer],
        wanted: list[HostFile] | None,
        in_use: InUse,
    ) -> dict[Key, str]:
        failures = SpecStore(self._cdi_dir, backend).reconcile(offers, in_use)
        if wanted is not None:
            store = HostFileStore(self._root, self._ledgers / f"{backend}.json")
            failures |= store.reconcile(wanted, in_use)
        return failures

    def _wanted(self, backend: BackendHandle, offers: Mapping[str, Offer]) -> list[HostFile] | None:
        current: object = backend.current
        if not isinstance(current, HostFiles | Labels):
            return None
        wanted: list[HostFile] = []
        if isinstance(current, HostFiles):
            wanted += current.host_files(_devices(offers))
        if self._feature_dir and isinstance(current, Labels):
            wanted.append(feature_file(self._feature_dir, backend.name, current, offers))
        return wanted


def without_lacking(offers: Mapping[str, Offer], failures: Mapping[Key, str]) -> dict[str, Offer]:
    """Return the offers with the devices Unhealthy that lack a file."""
    if not failures:
        return dict(offers)
    return {
        name: replace(offer, devices=tuple(_judged(name, each, failures) for each in offer.devices))
        for name, offer in offers.items()
    }


def _judged(resource: str, offered: OfferedDevice, failures: Mapping[Key, str]) -> OfferedDevice:
    device = offered.device
    reason = failures.get((resource, device.id)) or failures.get((resource, ""))
    if not reason or not device.healthy:
        return offered
    sick = replace(device, health=Health.UNHEALTHY, reason=reason)
    return offered._replace(device=sick)


def _devices(offers: Mapping[str, Offer]) -> dict[str, list[Device]]:
    return {
        name: list({each.device.id: each.device for each in offer.devices}.values())
        for name, offer in offers.items()
    }
