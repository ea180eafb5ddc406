"""What hardware is behind devices, holds and the kubelet's answers."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nodeplug.holdings import Key, Names, Record
from nodeplug.holdings.keys import replicas_of
from nodeplug.host.cgroups import pod_lives
from nodeplug.host.hardware import Hardware
from nodeplug.host.root import HostRoot
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.values.hardware import EXCLUSIVE, NO_USES, Uses, shared_as

if TYPE_CHECKING:
    from nodeplug.values.device import Device

# Kept of what the kernel said of a device: another one may have the place.
_DERIVED = "sys "


class HardwareLook:
    """Looks at the host; every method blocks."""

    def __init__(self, root: HostRoot) -> None:
        self._root = root
        self._known: dict[tuple[str, str], tuple[Device, Uses]] = {}

    def of_all(
        self, offers: Mapping[str, Offer], holds: Mapping[Key, Names]
    ) -> tuple[Mapping[str, Offer], Mapping[Key, Names]]:
        """Return the offers with what hardware each device is, and what that of holds is now.

        An unplugged device's place may be another's.
        """
        hardware = Hardware(self._root)
        return self._of_offers(hardware, offers), _of_holds(hardware, holds)

    def _of_offers(self, hardware: Hardware, offers: Mapping[str, Offer]) -> dict[str, Offer]:
        known: dict[tuple[str, str], tuple[Device, Uses]] = {}
        found = {}
        for name, offer in offers.items():
            uses: dict[str, Uses] = {}
            for each in _each_once(offer):
                own = self._of_device(hardware, name, each)
                known[name, each.id] = each.device, own
                if own:
                    uses[each.device.id] = own
            found[name] = replace(offer, uses=uses)
        self._known = {k: v for k, v in self._known.items() if k[0] not in offers} | known
        return found

    def of_records(self, records: Mapping[Key, Record]) -> Mapping[Key, Uses]:
        """Return what hardware the kubelet's answers name, whoever gave them."""
        hardware = Hardware(self._root)
        return {
            key: hardware.expanded(_roots(hardware, record.paths))
            for key, record in records.items()
            if record.paths
        }

    def lives(self, pods: Iterable[str]) -> Mapping[str, bool | None]:
        """Return whether pods, by uid, have processes; None where that cannot be seen."""
        return {uid: pod_lives(self._root, uid) for uid in pods}

    def _of_device(self, hardware: Hardware, resource: str, offered: OfferedDevice) -> Uses:
        device = offered.device
        before = self._known.get((resource, offered.id))
        if before is not None and before[0] is device:
            return before[1]
        paths = [node.host_path for node in device.edits.nodes]
        roots = _roots(hardware, paths, device.hardware)
        if offered.id != device.id:
            roots = shared_as(replicas_of(resource), roots)
        return hardware.expanded(roots)


def _of_holds(hardware: Hardware, holds: Mapping[Key, Names]) -> Mapping[Key, Names]:
    return {
        key: (_again(hardware, given), _again(hardware, named))
        for key, (given, named) in holds.items()
    }


def _again(hardware: Hardware, uses: Uses) -> Uses:
    return hardware.expanded({k: u for k, u in uses.items() if not k.startswith(_DERIVED)})


def _roots(hardware: Hardware, nodes: Iterable[str], own: Uses = NO_USES) -> Uses:
    """Return what is at these paths of the host; only /dev is looked at.

    Elsewhere may be a file system that hangs: there the path is what a device is known by.
    """
    wanted = {f"path {path}": EXCLUSIVE for path in nodes} | dict(own)
    elsewhere = {
        key: use
        for key, use in wanted.items()
        if key.startswith("path ") and not key.startswith("path /dev/")
    }
    inside = [path for path in nodes if path.startswith("/dev/")]
    kept = {key: use for key, use in own.items() if key not in elsewhere}
    return elsewhere | hardware.roots(inside, kept)


def _each_once(offer: Offer) -> Iterator[OfferedDevice]:
    seen: set[str] = set()
    for each in offer.devices:
        if each.device.id not in seen:
            seen.add(each.device.id)
            yield each
