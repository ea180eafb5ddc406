"""All network functions and accelerators of the host, read again only where something changed."""

import posixpath
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from nodeplug.backend import Omissions
from nodeplug.host.iommu import group_members
from nodeplug.host.pci import pci_device
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_at, link_name
from nodeplug_sriov_net.facts import Function, Vdpa, is_vfio
from nodeplug_sriov_net.reading import names_in, read_function

# PCI base classes: network controllers and processing accelerators.
_CLASSES: Final = ("02", "12")
_VDPA_DRIVERS: Final = {"vhost_vdpa": "vhost", "virtio_vdpa": "virtio"}


class Survey:
    """The functions that were seen last, by address. Blocks; for one thread at a time.

    `read` are the addresses that the last look read anew; `left_out` are those that could not be
    made sense of.
    """

    def __init__(self, root: HostRoot) -> None:
        self._root = root
        self._seen: dict[str, Function | None] = {}
        self.read: Collection[str] = ()
        self.left_out = Omissions()

    def look(self, changed: Collection[str] | None = None) -> Mapping[str, Function]:
        """Return what is there now: read anew what changed, came or went, or all for None."""
        places = self._root.sys / "bus/pci/devices"
        present = names_in(places)
        known = self._seen if changed is not None else {}
        fresh = {*(changed or ()), *(each for each in present if each not in known)}
        gone = self._seen.keys() - set(present)
        fresh |= self._owners(gone | fresh)
        if known:
            fresh |= self._grouped(gone | fresh)
        stale = self.left_out.keys() & (fresh | gone)
        self.left_out = Omissions({n: w for n, w in self.left_out.items() if n not in stale})
        vdpa = dict(self._vdpa())
        seen = {a: known[a] if a not in fresh else self._read(a, vdpa) for a in present}
        made = {f.physfn for a in fresh if (f := seen.get(a))} - fresh
        for address in made & seen.keys():
            seen[address] = self._read(address, vdpa)
        self._seen, self.read = seen, fresh | made
        return {address: each for address, each in seen.items() if each is not None}

    def _owners(self, addresses: Collection[str]) -> set[str]:
        # The links of a physical function change with its virtual functions.
        return {f.physfn for a in addresses if (f := self._seen.get(a)) and f.physfn}

    def _grouped(self, changed: Collection[str]) -> set[str]:
        # VFIO takes or refuses a group for the drivers of all its devices, of any class.
        refused = {a for a, f in self._seen.items() if f and f.hindrance} if changed else set()
        members = refused.union(*(group_members(self._root, each) for each in changed))
        return members & self._seen.keys()

    def _read(self, address: str, vdpa: Mapping[str, tuple[Vdpa, ...]]) -> Function | None:
        with self.left_out.alone(address):
            pci = pci_device(self._root, address)
            if pci is not None and pci.device_class.startswith(_CLASSES):
                return read_function(self._root, pci, vdpa)
        return None

    def _vdpa(self) -> Iterator[tuple[str, tuple[Vdpa, ...]]]:
        """Yield the vDPA devices by the devpath of what they are part of."""
        found: dict[str, list[Vdpa]] = {}
        bus = self._root.sys / "bus/vdpa/devices"
        for name in names_in(bus):
            devpath = device_at(self._root, f"/sys/bus/vdpa/devices/{name}")
            if devpath is not None:
                found.setdefault(posixpath.dirname(devpath), []).append(_vdpa_device(bus / name))
        for parent, devices in found.items():
            yield parent, tuple(devices)


def blind(functions: Collection[Function]) -> int:
    """Return how many adapters must have a network device if none shows any, else 0.

    That is so in a network namespace other than the host's.
    """
    if any(each.part.links for each in functions):
        return 0
    return sum(
        each.pci.device_class.startswith(_CLASSES[0])
        and not (each.physfn or each.pci.driver is None or is_vfio(each.pci.driver))
        for each in functions
    )


def _vdpa_device(place: Path) -> Vdpa:
    driver = _VDPA_DRIVERS.get(link_name(place / "driver") or "", "")
    nodes = [name for name in names_in(place) if name.startswith("vhost-vdpa-")]
    return Vdpa(place.name, driver, f"/dev/{nodes[0]}" if driver == "vhost" and nodes else "")
