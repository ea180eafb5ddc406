"""What of the host's hardware an entry of the configuration selects."""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from nodeplug.backend import Omissions
from nodeplug.host.iommu import why_not_viable
from nodeplug.host.pci import PciDevice, pci_device, pci_devices
from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import device_at, link_name, read_text
from nodeplug.host.usb import UsbDevice, usb_device, usb_devices
from nodeplug_custom.findings_values import Finding, Parent
from nodeplug_custom.kernel_devices import KernelDevice, devices_below, devices_of, names_in
from nodeplug_custom.matches import (
    HardwareSettings,
    MdevMatch,
    PciMatch,
    UdevMatch,
    UsbMatch,
    satisfies,
)

_HUB = "09"


def find(root: HostRoot, wanted: HardwareSettings, left_out: Omissions) -> list[Finding]:
    """Return what is there now, in a stable order, less what is odd. Blocks."""
    if wanted.mdev:
        found = list(_mdevs(root, wanted.mdev, left_out))
    elif wanted.udev:
        found = list(_nodes(root, wanted, wanted.udev, left_out))
    elif wanted.usb:
        found = list(_usbs(root, wanted, wanted.usb, left_out))
    else:
        found = list(_pcis(root, wanted, left_out))
    return [each for each in found if not _excluded(each, wanted.exclude)]


def _excluded(found: Finding, globs: tuple[str, ...]) -> bool:
    names = [*found.names, *found.nodes]
    return any(fnmatchcase(name, glob) for name in names for glob in globs)


def _usbs(
    root: HostRoot, wanted: HardwareSettings, match: UsbMatch, left_out: Omissions
) -> Iterator[Finding]:
    for usb in usb_devices(root):
        with left_out.alone(usb.port):
            is_meant = usb.device_class != _HUB and _is_usb(usb, match)
            if is_meant and (not wanted.pci or _pci_above(root, usb.devpath, wanted.pci)):
                yield _whole_usb(root, usb, wanted)


def _is_usb(usb: UsbDevice, wanted: UsbMatch) -> bool:
    pairs = (
        (_lower(wanted.vendor), usb.vid),
        (_lower(wanted.product), usb.pid),
        (wanted.serial, usb.serial),
        (wanted.port, usb.port),
    )
    return all(satisfies(globs, value) for globs, value in pairs)


def _pcis(root: HostRoot, wanted: HardwareSettings, left_out: Omissions) -> Iterator[Finding]:
    for pci in pci_devices(root):
        with left_out.alone(pci.address):
            if wanted.pci and _is_pci(pci, wanted.pci):
                yield _whole_pci(root, pci, wanted)


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


def _pci_above(root: HostRoot, devpath: str, wanted: PciMatch) -> PciDevice | None:
    for step in reversed(devpath.split("/")):
        if step.count(":") == 2 and "." in step:  # noqa: PLR2004 - domain:bus:device.function
            pci = pci_device(root, step)
            if pci is not None:
                return pci if _is_pci(pci, wanted) else None
    return None


def _usb_above(root: HostRoot, device: KernelDevice) -> UsbDevice | None:
    for step in reversed(device.devpath.split("/")):
        if step[:1].isdigit() and "-" in step and ":" not in step:
            return usb_device(root, step)
    return None


def _whole_usb(root: HostRoot, usb: UsbDevice, wanted: HardwareSettings) -> Finding:
    missing, more = _members(root, usb.devpath, wanted)
    return Finding(
        parent=Parent.of_usb(usb), devpath=usb.devpath, nodes=(usb.node, *more), missing=missing
    )


def _whole_pci(root: HostRoot, pci: PciDevice, wanted: HardwareSettings) -> Finding:
    missing, more = _members(root, pci.devpath, wanted)
    vfio = _vfio_nodes(root, pci)
    below = () if vfio else devices_below(root, pci.devpath)
    found = (*vfio, *(device.node for device in below if device.node), *more)
    lacks = why_not_viable(root, pci.address) if vfio else ""
    return Finding(
        parent=Parent.of_pci(pci),
        devpath=pci.devpath,
        nodes=tuple(dict.fromkeys(found)),
        missing=missing or lacks or ("" if found else "has no device node"),
        whole=wanted.exclusive is not False,
    )


def _vfio_nodes(root: HostRoot, pci: PciDevice) -> tuple[str, ...]:
    if pci.driver is None or "vfio" not in pci.driver:
        return ()
    place = f"/sys{pci.devpath}"
    group = link_name(root.path(f"{place}/iommu_group"))
    nodes = ["/dev/vfio/vfio", _group_node(root, group)] if group and group.isdigit() else []
    cdevs = names_in(root.path(f"{place}/vfio-dev"))
    if cdevs and root.path("/dev/iommu").exists():
        nodes += ["/dev/iommu", *(f"/dev/vfio/devices/{name}" for name in cdevs)]
    return tuple(nodes)


def _group_node(root: HostRoot, group: str) -> str:
    # Linux, drivers/vfio/group.c: without an IOMMU, VFIO makes groups of its own.
    name = read_text(root.sys / "kernel/iommu_groups" / group / "name")
    return f"/dev/vfio/{'noiommu-' if name == 'vfio-noiommu' else ''}{group}"


def _mdevs(root: HostRoot, wanted: MdevMatch, left_out: Omissions) -> Iterator[Finding]:
    for device in devices_of(root, "mdev"):
        with left_out.alone(device.sysname):
            if _is_mdev(device, wanted):
                yield _mdev(device)


def _is_mdev(device: KernelDevice, wanted: MdevMatch) -> bool:
    kinds = {device.attribute("mdev_type"), device.attribute("mdev_type/name")}
    parent = next((d.sysname for d in device.above() if d.subsystem == "pci"), "")
    is_kind = any(satisfies(wanted.type, kind) for kind in kinds)
    return is_kind and satisfies(wanted.parent, parent)


def _mdev(device: KernelDevice) -> Finding:
    group = device.attribute("iommu_group") or ""
    nodes = ("/dev/vfio/vfio", f"/dev/vfio/{group}") if group.isdigit() else ()
    return Finding(
        parent=Parent("mdev", device.sysname, address=device.sysname),
        devpath=device.devpath,
        nodes=nodes,
        missing="" if nodes else "has no IOMMU group",
    )


def _nodes(
    root: HostRoot, wanted: HardwareSettings, udev: UdevMatch, left_out: Omissions
) -> Iterator[Finding]:
    groups: dict[tuple[Parent | None, str], list[KernelDevice]] = {}
    for device in _udevs(root, udev):
        with left_out.alone(device.sysname):
            if (group := _group(root, device, wanted, udev)) is not None:
                groups.setdefault(group, []).append(device)
    for (parent, _), devices in groups.items():
        with left_out.alone(devices[0].sysname):
            yield _grouped(root, parent, devices, wanted)


def _group(
    root: HostRoot, device: KernelDevice, wanted: HardwareSettings, udev: UdevMatch
) -> tuple[Parent | None, str] | None:
    """Return what a device is part of, and what tells it from others; None if it is not meant."""
    if not device.node or not _is_udev(device, udev):
        return None
    usb = _usb_above(root, device)
    if wanted.usb and (usb is None or not _is_usb(usb, wanted.usb)):
        return None
    pci = _pci_above(root, device.devpath, wanted.pci) if wanted.pci else None
    if wanted.pci and pci is None:
        return None
    return _parent(usb, pci), "" if wanted.group == "parent" else device.devpath


def _grouped(
    root: HostRoot, parent: Parent | None, devices: list[KernelDevice], wanted: HardwareSettings
) -> Finding:
    nodes = tuple(device.node for device in devices)
    if wanted.group == "parent" and parent:
        missing, more = _members(root, parent.devpath, wanted)
        nodes = tuple(dict.fromkeys((*nodes, *more)))
        return Finding(parent=parent, devpath=parent.devpath, nodes=nodes, missing=missing)
    [device] = devices
    own = Parent("udev", device.sysname, devpath=device.devpath)
    return Finding(
        parent=parent or own,
        devpath=device.devpath,
        nodes=nodes,
        part=_part(parent, device) if parent else "",
        subsystem=device.subsystem,
    )


def _parent(usb: UsbDevice | None, pci: PciDevice | None) -> Parent | None:
    if usb is not None:
        return Parent.of_usb(usb)
    return Parent.of_pci(pci) if pci is not None else None


def _part(parent: Parent, device: KernelDevice) -> str:
    """Return which part of its parent a device is, in words that stay over a replug.

    A number that the kernel gives anew each time, as in `video3`, is left out where another
    attribute tells the parts apart.
    """
    interface = next(
        (
            step.rpartition(":")[2]
            for step in device.devpath.split("/")
            if step.startswith(f"{parent.port}:")
        ),
        "",
    )
    index = device.attribute("index")
    return "-".join(part for part in (device.subsystem, interface, index) if part)


def _udevs(root: HostRoot, wanted: UdevMatch) -> Iterator[KernelDevice]:
    names = (wanted.subsystem,) if isinstance(wanted.subsystem, str) else wanted.subsystem
    plain = all(name and not set("*?[!") & set(name) for name in names)
    sources = names if plain else ("",)
    return (each for source in sources for each in devices_of(root, source))


def _is_udev(device: KernelDevice, wanted: UdevMatch) -> bool:
    pairs = (
        (wanted.subsystem, device.subsystem),
        (wanted.sysname, device.sysname),
        (wanted.devtype, device.properties.get("DEVTYPE") if wanted.devtype else None),
    )
    return (
        all(satisfies(globs, value) for globs, value in pairs)
        and frozenset(wanted.tags) <= (device.tags if wanted.tags else frozenset())
        and all(satisfies(w, device.properties.get(n)) for n, w in wanted.properties.items())
        and all(satisfies(w, device.attribute(n)) for n, w in wanted.attributes.items())
        and _has_parent(device, wanted)
        and (not wanted.driver or satisfies(wanted.driver, driver_of(device)))
    )


def driver_of(device: KernelDevice) -> str | None:
    """Return the driver of a device or of the nearest one above it that has any."""
    chain = (device, *device.above())
    return next((each.driver for each in chain if each.driver), None)


def _has_parent(device: KernelDevice, wanted: UdevMatch) -> bool:
    if not wanted.parent_attributes:
        return True
    return any(
        all(satisfies(globs, above.attribute(n)) for n, globs in wanted.parent_attributes.items())
        for above in device.above()
    )


def _members(root: HostRoot, devpath: str, wanted: HardwareSettings) -> tuple[str, list[str]]:
    """Return what is missing of the further members, or empty, and their nodes."""
    if not wanted.members:
        return "", []
    below = devices_below(root, devpath)
    nodes: list[str] = []
    for number, member in enumerate(wanted.members):
        found = [device.node for device in below if device.node and _is_udev(device, member.udev)]
        if not found and not member.optional:
            return f"its member {number} is missing", nodes
        nodes += found
    return "", nodes


def is_there(root: HostRoot, devpath: str) -> bool:
    """Return whether the kernel still has a device."""
    return device_at(root, f"/sys{devpath}") is not None
