"""What of the host's hardware an entry of the configuration selects."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial

from msgspec.structs import replace

from nodeplug.host.iommu import why_not_viable
from nodeplug.host.pci import PciDevice
from nodeplug.host.reads import Question
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import numa_nodes
from nodeplug.host.usb import UsbDevice
from nodeplug_custom.buses import Buses
from nodeplug_custom.findings_values import Finding, Parent
from nodeplug_custom.kernel_devices import KernelDevice, devices_below
from nodeplug_custom.matches import (
    HardwareSettings,
    MdevMatch,
    PciMatch,
    UdevMatch,
    UsbMatch,
    Wanted,
    satisfies,
)
from nodeplug_custom.matching import has_attributes, is_udev, key_of, members_of, sources_of
from nodeplug_custom.vfio import is_vfio, vfio_nodes

_HUB = "09"


def find(buses: Buses, wanted: HardwareSettings) -> list[Finding]:
    """Return what is there now, in a stable order, less what is odd. Blocks.

    What does not answer is as it was when it last did, and then of no use now.
    """
    if wanted.mdev:
        found = _mdevs(buses, wanted.mdev)
    elif wanted.udev:
        found = _nodes(buses, wanted, wanted.udev)
    elif wanted.usb:
        found = _usbs(buses, wanted, wanted.usb)
    else:
        found = _pcis(buses, wanted)
    return [each for each in found if not _excluded(each, wanted.exclude)]


def _excluded(found: Finding, globs: tuple[str, ...]) -> bool:
    names = [*found.names, *found.nodes]
    return any(fnmatchcase(name, glob) for name in names for glob in globs)


def _usbs(buses: Buses, wanted: HardwareSettings, match: UsbMatch) -> Iterator[Finding]:
    meant = [
        usb
        for usb in buses.usb.values()
        if usb.device_class != _HUB and _is_usb(usb, match) and _is_below(buses, usb, wanted.pci)
    ]
    parents = [
        Parent.of_usb(usb) for usb in buses.with_serials(meant) if _has_serial(buses, usb, match)
    ]
    yield from _wholes(buses, wanted, parents, match.attributes)


def _is_usb(usb: UsbDevice, wanted: UsbMatch) -> bool:
    """Return whether all but the serial number and attributes match."""
    pairs = (
        (_lower(wanted.vendor), usb.vid),
        (_lower(wanted.product), usb.pid),
        (wanted.port, usb.port),
    )
    return all(satisfies(globs, value) for globs, value in pairs)


def _has_serial(buses: Buses, usb: UsbDevice, wanted: UsbMatch) -> bool:
    if usb.devpath in buses.unknown:
        return not wanted.serial  # nobody can say what it is
    return satisfies(wanted.serial, usb.serial)


def _pcis(buses: Buses, wanted: HardwareSettings) -> Iterator[Finding]:
    match = wanted.pci
    assert match is not None
    parents = [Parent.of_pci(pci) for pci in buses.pci.values() if _is_pci(pci, match)]
    yield from _wholes(buses, wanted, parents, match.attributes)


def _is_pci(pci: PciDevice, wanted: PciMatch) -> bool:
    pairs = (
        (_lower(wanted.vendor), pci.vendor),
        (_lower(wanted.device), pci.device),
        (_lower(wanted.class_), pci.device_class),
        (wanted.driver, pci.driver),
        (wanted.address, pci.address),
    )
    return all(satisfies(globs, value) for globs, value in pairs)


def _lower(globs: str | tuple[str, ...]) -> str | tuple[str, ...]:
    return globs.lower() if isinstance(globs, str) else tuple(glob.lower() for glob in globs)


def _is_below(buses: Buses, usb: UsbDevice, wanted: PciMatch | None) -> bool:
    return wanted is None or _pci_above(buses, usb.devpath, wanted) is not None


def _pci_above(buses: Buses, devpath: str, wanted: PciMatch) -> PciDevice | None:
    above = (buses.pci.get(step) for step in reversed(devpath.split("/")))
    pci = next((each for each in above if each is not None), None)
    return pci if pci is not None and _is_pci(pci, wanted) else None


def _usb_above(buses: Buses, devpath: str) -> UsbDevice | None:
    above = (buses.usb.get(step) for step in reversed(devpath.split("/")) if "-" in step)
    return next((each for each in above if each is not None), None)


def _wholes(
    buses: Buses,
    wanted: HardwareSettings,
    parents: Iterable[Parent],
    attributes: Mapping[str, Wanted],
) -> Iterator[Finding]:
    """Yield devices with all their nodes. One of which nothing was ever read has none."""
    key = key_of(wanted)
    known = {f"whole {key} {each.devpath}": each for each in parents}
    questions = {
        name: Question(parent.label, "sysfs", partial(_whole, buses.root, parent, wanted))
        for name, parent in known.items()
    }
    for name, found, trouble in buses.ask(questions):
        parent = known[name]
        why = trouble or buses.troubles.get(parent.devpath, "")
        if found is not None:
            is_known = parent.devpath not in buses.unknown
            yield replace(found, missing=why, known=is_known) if why else found
        elif why and not attributes:
            yield Finding(parent, parent.devpath, (), missing=why, known=False)


def _whole(root: HostRoot, parent: Parent, wanted: HardwareSettings) -> Finding | None:
    match = wanted.usb if parent.kind == "usb" else wanted.pci
    if match is not None and not has_attributes(
        KernelDevice(root, parent.devpath), match.attributes
    ):
        return None
    missing, more = members_of(root, parent.devpath, wanted)
    if parent.kind == "usb":
        return Finding(parent, parent.devpath, (parent.node, *more), missing=missing)
    vfio = is_vfio(root, parent.devpath, parent.driver)
    below = () if vfio else devices_below(root, parent.devpath)
    own = vfio_nodes(root, parent.devpath) if vfio else [each.node for each in below if each.node]
    lacks = why_not_viable(root, parent.address) if vfio else ""
    return Finding(
        parent=parent,
        devpath=parent.devpath,
        nodes=tuple(dict.fromkeys((*own, *more))),
        missing=missing or lacks or ("" if own or more else "has no device node"),
        whole=wanted.exclusive is not False,
    )


def _mdevs(buses: Buses, wanted: MdevMatch) -> Iterator[Finding]:
    key = key_of(wanted)
    questions = {
        f"mdev {key} {device.devpath}": Question(
            device.sysname, "sysfs", partial(_mdev, buses.root, device, wanted)
        )
        for device in buses.of("mdev")
    }
    for _, found, trouble in buses.ask(questions):
        if found is not None:
            yield replace(found, missing=trouble) if trouble else found


def _mdev(root: HostRoot, device: KernelDevice, wanted: MdevMatch) -> Finding | None:
    kinds = {device.attribute("mdev_type"), device.attribute("mdev_type/name")}
    parent = next((d.sysname for d in device.above() if d.subsystem == "pci"), "")
    if not any(satisfies(wanted.type, kind) for kind in kinds):
        return None
    if not satisfies(wanted.parent, parent) or not has_attributes(device, wanted.attributes):
        return None
    nodes = vfio_nodes(root, device.devpath)
    numa = numa_nodes(root.path(f"/sys{device.devpath}"))
    return Finding(
        parent=Parent("mdev", device.sysname, address=device.sysname, numa=numa),
        devpath=device.devpath,
        nodes=nodes,
        missing="" if nodes else "has no IOMMU group",
    )


def _nodes(buses: Buses, wanted: HardwareSettings, udev: UdevMatch) -> Iterator[Finding]:
    groups: dict[tuple[Parent | None, str], list[Finding]] = {}
    for part in _parts(buses, wanted, udev):
        apart = "" if wanted.group == "parent" else part.devpath
        groups.setdefault((part.parent if part.is_below else None, apart), []).append(part)
    for (parent, _), parts in groups.items():
        if wanted.group == "parent" and parent:
            yield from _of_parent(buses, parent, parts, wanted)
        else:
            yield from parts


def _parts(buses: Buses, wanted: HardwareSettings, udev: UdevMatch) -> Iterator[Finding]:
    """Yield the nodes that match, with the USB device or PCI function that they are below."""
    matching = [*_matching(buses, udev)]
    above = {
        part.devpath: usb
        for part, _ in matching
        if (usb := _usb_above(buses, part.devpath)) and (not wanted.usb or _is_usb(usb, wanted.usb))
    }
    known = {usb.devpath: usb for usb in buses.with_serials(above.values())}
    for part, trouble in matching:
        usb = known.get(above[part.devpath].devpath) if part.devpath in above else None
        if part.devpath in above and usb is None:
            continue  # it has still time to answer
        if wanted.usb and (usb is None or not _has_serial(buses, usb, wanted.usb)):
            continue
        pci = _pci_above(buses, part.devpath, wanted.pci) if wanted.pci else None
        if wanted.pci and pci is None:
            continue
        parent = Parent.of_usb(usb) if usb else Parent.of_pci(pci) if pci else part.parent
        why = trouble or buses.troubles.get(parent.devpath, "")
        words = _part(parent, part) if parent.kind != "udev" else ""
        is_known = parent.devpath not in buses.unknown
        yield replace(part, parent=parent, part=words, missing=why, known=is_known)


def _matching(buses: Buses, udev: UdevMatch) -> Iterator[tuple[Finding, str]]:
    """Yield the nodes that match by themselves, their index as their part."""
    key = key_of(udev)
    questions = {
        f"udev {key} {device.devpath}": Question(
            device.sysname, "sysfs", partial(_found, buses.root, device, udev)
        )
        for device in sources_of(buses, udev)
    }
    for _, found, trouble in buses.ask(questions):
        if found is not None:
            yield found, trouble


def _found(root: HostRoot, device: KernelDevice, udev: UdevMatch) -> Finding | None:
    if not device.node or not is_udev(device, udev):
        return None
    numa = numa_nodes(root.path(f"/sys{device.devpath}"))
    return Finding(
        parent=Parent("udev", device.sysname, devpath=device.devpath, numa=numa),
        devpath=device.devpath,
        nodes=(device.node,),
        part=device.attribute("index") or "",
        subsystem=device.subsystem,
    )


def _of_parent(
    buses: Buses, parent: Parent, parts: list[Finding], wanted: HardwareSettings
) -> Iterator[Finding]:
    nodes = tuple(node for part in parts for node in part.nodes)
    why = next((part.missing for part in parts if part.missing), "")
    is_known = all(part.known for part in parts)
    key = f"members {key_of(wanted)} {parent.devpath}"
    ask = partial(members_of, buses.root, parent.devpath, wanted)
    for _, found, trouble in buses.ask({key: Question(parent.label, "sysfs", ask)}):
        missing, more = found or ("", [])
        nodes = tuple(dict.fromkeys((*nodes, *more)))
        lacks = why or trouble or missing
        yield Finding(parent, parent.devpath, nodes, missing=lacks, known=is_known)


def _part(parent: Parent, part: Finding) -> str:
    """Return which part of its parent a device is, in words that stay over a replug.

    A number that the kernel gives anew each time, as in `video3`, is left out where another
    attribute tells the parts apart.
    """
    steps = (step for step in part.devpath.split("/") if step.startswith(f"{parent.port}:"))
    interface = next(steps, "").rpartition(":")[2]
    return "-".join(word for word in (part.subsystem, interface, part.part) if word)
