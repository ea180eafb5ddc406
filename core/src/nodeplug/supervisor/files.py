"""Everything on disk that must be there before a list shows its devices."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from nodeplug.allocation import BackendHandle
from nodeplug.backend import HostFile, HostFiles, Labels
from nodeplug.cdi.store import SpecStore
from nodeplug.host.calls import call
from nodeplug.host.root import HostRoot
from nodeplug.host_files import HostFileStore
from nodeplug.kubelet.sockets import HOME
from nodeplug.offers import Offer
from nodeplug.supervisor.features import feature_file
from nodeplug.values.device import Device

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

    async def bring_in_line(
        self, backend: BackendHandle, offers: Mapping[str, Offer], in_use: InUse
    ) -> dict[str, str]:
        """Write and remove files until they fit the offers; return failures by resource."""
        try:
            wanted = self._wanted(backend, offers)
            return await call(
                self._reconcile, backend.name, offers, wanted, in_use, timeout=DISK_SECONDS
            )
        except (OSError, TimeoutError) as error:
            _log.error("files not written", extra={"nodeplug": {"error": repr(error)}})
            needy = [name for name, offer in offers.items() if offer.inject != "devices"]
            return dict.fromkeys(needy, f"files not written: {error!r}")

    def _reconcile(
        self,
        backend: str,
        offers: Mapping[str, Offer],
        wanted: list[HostFile] | None,
        in_use: InUse,
    ) -> dict[str, str]:
        failures = SpecStore(self._cdi_dir, backend).reconcile(offers, in_use)
        if wanted is not None:
            store = HostFileStore(self._root, self._ledgers / f"{backend}.json")
            failures |= store.reconcile(wanted, in_use)
        return {name: text for name, text in failures.items() if name in offers}

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


def _devices(offers: Mapping[str, Offer]) -> dict[str, list[Device]]:
    return {
        name: list({each.device.id: each.device for each in offer.devices}.values())
        for name, offer in offers.items()
    }
