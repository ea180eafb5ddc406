"""All network functions and accelerators of the host, read again only where something changed."""

import posixpath
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from nodeplug.backend import Omissions
from nodeplug.host.iommu import group_members
from nodeplug.host.pci import pci_device
from nodeplug.host.reads import Question, Reads
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import link_name, names_in
from nodeplug_sriov_net.facts import Function, Vdpa
from nodeplug_sriov_net.reading import devpath_at, read_function

# PCI base classes: network controllers and processing accelerators.
_CLASSES: Final = ("02", "12")
_VDPA_DRIVERS: Final = {"vhost_vdpa": "vhost", "virtio_vdpa": "virtio"}
SILENT: Final = "it does not answer: reading its attributes in sysfs hangs"


class _Sight(msgspec.Struct, frozen=True):
    """What was read of a PCI device: a function that matters, its IOMMU group, what is odd."""

    function: Function | None = None
    group: Collection[str] = ()
    odd: str = ""


class Survey:
    """The functions that were seen last, by address. Blocks; for one thread at a time.

    One that does not answer is as it was, after a while `silent`, and holds up no other.
    `read` are the addresses that the last look read anew; `left_out` are those that could not be
    made sense of. `hears_links` says that what links are like need not be read.
    """

    def __init__(self, root: HostRoot) -> None:
        self._root = root
        self._seen: dict[str, _Sight] = {}
        self._vdpa: Mapping[str, list[str]] = {}
        self.reads = Reads()
        self.read: Collection[str] = ()
        self.left_out = Omissions()
        self.hears_links = False

    def look(
        self, changed: Collection[str] | None = None, probing: Collection[str] = ()
    ) -> Mapping[str, Function]:
        """Return what is there now: read anew what changed, came or went, or all for None.

        `probing` are functions whose driver is not known to have come to terms with them.
        """
        present = names_in(self._root.sys / "bus/pci/devices")
        with self.reads:
            self.read = self._read_anew(present, changed)
        silent = self.reads.silent
        self.left_out = Omissions(self._odd(silent))
        owners = {f.physfn for each in self._seen.values() if (f := each.function) and f.physfn}
        return {
            address: _as_it_is(each.function, silent, probing, owners)
            for address, each in self._seen.items()
            if each.function is not None
        }

    def _read_anew(
        self, present: Collection[str], changed: Collection[str] | None
    ) -> Collection[str]:
        """Read what is to be read; return whose attributes were."""
        late = self._ask(self.reads.waiting & {*present})
        known = self._seen.keys() if changed is not None else set()
        fresh = {*(changed or ()), *(each for each in present if each not in known)}
        fresh |= self._owners((self._seen.keys() - set(present)) | fresh)
        self._vdpa = _vdpa_names(self._root)
        return self._take(present, fresh, late)

    def _take(
        self, present: Collection[str], fresh: set[str], late: Mapping[str, _Sight]
    ) -> Collection[str]:
        """Read what is fresh and what depends on it; return what was read."""
        before = self._seen
        found = {**late, **self._ask(fresh & {*present})}
        gone = before.keys() - set(present)
        touched = self._grouped(found, gone) if before else set()
        touched |= {f.physfn for each in found.values() if (f := each.function)}
        more = self._ask((touched - found.keys()) & {*present})
        read = {**found, **more}
        owned = {a: _with_owner(each, before.get(a)) for a, each in read.items()}
        seen = {**before, **owned}
        self._seen = {a: seen[a] if a in seen else _Sight() for a in present}
        return fresh | more.keys()

    def _ask(self, addresses: Collection[str]) -> dict[str, _Sight]:
        """Return what was read of each; nothing of those that do not answer."""
        answers = self.reads.ask(
            {
                address: Question(address, "its attributes", partial(self._read, address))
                for address in addresses
            }
        )
        return {a: sight for a, each in answers.items() if each.is_new and (sight := each.get())}

    def _owners(self, addresses: Collection[str]) -> set[str]:
        # The links of a physical function change with its virtual functions.
        known = (self._seen.get(each) for each in addresses)
        return {f.physfn for each in known if each and (f := each.function) and f.physfn}

    def _grouped(self, found: Mapping[str, _Sight], gone: Collection[str]) -> set[str]:
        # VFIO takes or refuses a group for the drivers of all its devices, of any class.
        known = self._seen
        refused = {a for a, each in known.items() if each.function and each.function.hindrance}
        members = {each for sight in found.values() for each in sight.group}
        if found or gone:
            members |= refused
        return {each for each in members & known.keys() if known[each].function}

    def _odd(self, silent: Collection[str]) -> dict[str, str]:
        odd = {address: each.odd for address, each in self._seen.items() if each.odd}
        return odd | {each: SILENT for each in silent if not self._seen[each].function}

    def _read(self, address: str) -> _Sight:
        left_out = Omissions()
        function = None
        with left_out.alone(address):
            pci = pci_device(self._root, address)
            if pci is not None and pci.device_class.startswith(_CLASSES):
                vdpa = dict(self._vdpa_below(pci.devpath))
                function = read_function(self._root, pci, vdpa, hears_links=self.hears_links)
        # At first all is read: no other needs to be read for what this one's driver is.
        group = group_members(self._root, address) if self._seen else ()
        return _Sight(function, group, left_out.get(address, ""))

    def _vdpa_below(self, devpath: str) -> Iterator[tuple[str, tuple[Vdpa, ...]]]:
        """Yield the vDPA devices of a function and of its parts by the devpath of these."""
        bus = self._root.sys / "bus/vdpa/devices"
        for parent, names in self._vdpa.items():
            if parent == devpath or parent.startswith(f"{devpath}/"):
                yield parent, tuple(_vdpa_device(bus / name) for name in names)


def blind(functions: Collection[Function]) -> int:
    """Return how many adapters must have a network device if none shows any, else 0.

    That is so in a network namespace other than the host's.
    """
    if any(each.part.links for each in functions):
        return 0
    return sum(
        each.pci.device_class.startswith(_CLASSES[0])
        and not (each.physfn or each.pci.driver is None or each.by_vfio)
        for each in functions
    )


def _with_owner(now: _Sight, before: _Sight | None) -> _Sight:
    """Return what was seen; a function that is on its way out has no link to its owner any more."""
    function, known = now.function, before.function if before else None
    if function is None or known is None or function.physfn or not known.physfn:
        return now
    function = msgspec.structs.replace(function, physfn=known.physfn)
    return msgspec.structs.replace(now, function=function)


def _as_it_is(
    function: Function, silent: Collection[str], probing: Collection[str], owners: Collection[str]
) -> Function:
    address = function.address
    is_probing = address in probing and bool(function.pci.driver) and not function.is_shown
    has_virtual = function.has_virtual or address in owners
    if not is_probing and address not in silent and has_virtual == function.has_virtual:
        return function
    return msgspec.structs.replace(
        function, silent=address in silent, is_probing=is_probing, has_virtual=has_virtual
    )


def _vdpa_names(root: HostRoot) -> Mapping[str, list[str]]:
    """Return the names of vDPA devices by the devpath of what they are part of."""
    found: dict[str, list[str]] = {}
    for name in names_in(root.sys / "bus/vdpa/devices"):
        if devpath := devpath_at(root, f"/sys/bus/vdpa/devices/{name}"):
            found.setdefault(posixpath.dirname(devpath), []).append(name)
    return found


def _vdpa_device(place: Path) -> Vdpa:
    driver = _VDPA_DRIVERS.get(link_name(place / "driver") or "", "")
    nodes = [name for name in names_in(place) if name.startswith("vhost-vdpa-")]
    return Vdpa(place.name, driver, f"/dev/{nodes[0]}" if driver == "vhost" and nodes else "")
