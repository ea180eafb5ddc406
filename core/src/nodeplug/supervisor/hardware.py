"""What hardware is behind devices, holds and the kubelet's answers."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from nodeplug.cdi.store import nodes_of
from nodeplug.holdings import Derived, Key, Known, Named, Record
from nodeplug.holdings.keys import replicas_of
from nodeplug.host.hardware import Hardware
from nodeplug.host.node_names import NodeNames
from nodeplug.host.root import HostRoot
from nodeplug.offers import Offer, OfferedDevice
from nodeplug.values.device import Health
from nodeplug.values.hardware import EXCLUSIVE, NO_USES, SHARED, Uses, shared_as

# Kept of what the kernel said of a device: another one may have the place.
_DERIVED = "sys "
_Seen = Mapping[str, tuple[OfferedDevice, Uses]]
_NOTHING: tuple[_Seen, Mapping[str, Uses]] = {}, {}
_UNSEEN = "its device nodes could not be looked at"


class HardwareLook:
    """Looks at the host; every method but `remembered` blocks. CDI files are in `cdi_dir`."""

    def __init__(self, root: HostRoot, cdi_dir: Path) -> None:
        self._root = root
        self._names = NodeNames(root)
        self._cdi_dir = cdi_dir
        self._known: dict[str, tuple[_Seen, Mapping[str, Uses]]] = {}

    def of_all(
        self, offers: Mapping[str, Offer], holds: Mapping[Key, Known]
    ) -> tuple[Mapping[str, Offer], Mapping[Key, Derived]]:
        """Return the offers with what hardware each device is, and what that of holds is now.

        An unplugged device's place may be another's.
        """
        hardware = Hardware(self._root, self._names)
        found = {name: self._of_offer(hardware, offer) for name, offer in offers.items()}
        derived = {
            key: (_again(hardware, given), _named(hardware, paths))
            for key, (given, paths) in holds.items()
        }
        return found, derived

    def remembered(self, offers: Mapping[str, Offer]) -> Mapping[str, Offer]:
        """Return the offers with what was seen before of their devices; others are Unhealthy."""
        return {name: self._remembered(offer) for name, offer in offers.items()}

    def of_records(self, records: Mapping[Key, Record]) -> Mapping[Key, Named]:
        """Return what hardware the kubelet's answers name now, whoever gave them."""
        hardware = Hardware(self._root, self._names)
        described = nodes_of(self._cdi_dir) if any(r.cdi for r in records.values()) else {}
        found = {}
        for key, record in records.items():
            paths = (record.paths or frozenset()).union(*(described.get(n, ()) for n in record.cdi))
            if paths:
                found[key] = _named(hardware, paths)
        return found

    def lives(self, pods: Iterable[str]) -> Mapping[str, bool | None]:
        """Return whether pods, by uid, have processes; None where that cannot be seen."""
        from nodeplug.host.cgroups import pod_lives  # noqa: PLC0415 - asked after forced deletions

        return {uid: pod_lives(self._root, uid) for uid in pods}

    def gone(self, pods: Iterable[str]) -> Collection[str]:
        """Return which of these pods, by uid, are surely no more."""
        from nodeplug.host.cgroups import pod_is_gone  # noqa: PLC0415 - likewise

        return {uid for uid in pods if pod_is_gone(self._root, uid)}

    def _of_offer(self, hardware: Hardware, offer: Offer) -> Offer:
        before, uses = self._known.get(offer.resource, _NOTHING)
        known: dict[str, tuple[OfferedDevice, Uses]] = {}
        for each in offer.devices:
            device = each.device
            if (device_id := device.id) not in known:
                seen = before.get(device_id)
                if seen is None or seen[0].device is not device or seen[0].id != each.id:
                    seen = each, self._of_device(hardware, offer.resource, each)
                known[device_id] = seen
        if known != before:
            uses = {device_id: own for device_id, (_, own) in known.items() if own}
        self._known[offer.resource] = known, uses
        return structs.replace(offer, uses=uses)

    def _of_device(self, hardware: Hardware, resource: str, offered: OfferedDevice) -> Uses:
        device = offered.device
        paths = [node.host_path for node in device.edits.nodes]
        if not paths and not device.hardware:
            return NO_USES
        roots = _roots(hardware, paths, device.hardware)
        # What its backend says to be everybody's is nobody's own, by whatever id.
        shared = bool(device.hardware and roots) and EXCLUSIVE not in roots.values()
        roots = {f"id {device.id}": SHARED if shared else EXCLUSIVE, **roots}
        if offered.id != device.id:
            roots = shared_as(replicas_of(resource), roots)
        return hardware.expanded(roots)

    def _remembered(self, offer: Offer) -> Offer:
        before, _ = self._known.get(offer.resource, _NOTHING)
        uses: dict[str, Uses] = {}
        devices = []
        for each in offer.devices:
            seen, own = before.get(each.device.id, (None, NO_USES))
            if seen is not None and seen.device == each.device:
                uses[each.device.id] = own
            elif each.device.healthy and (each.device.edits.nodes or each.device.hardware):
                sick = replace(each.device, health=Health.UNHEALTHY, reason=_UNSEEN)
                each = OfferedDevice(each.id, sick)  # noqa: PLW2901 - the same with another health
            devices.append(each)
        return structs.replace(offer, devices=tuple(devices), uses=uses)


def _again(hardware: Hardware, uses: Uses) -> Uses:
    return hardware.expanded({k: u for k, u in uses.items() if not k.startswith(_DERIVED)})


def _named(hardware: Hardware, paths: Iterable[str]) -> Named:
    return {path: hardware.expanded(_roots(hardware, [path])) for path in paths}


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
