"""What on a node keeps devices from being seen."""

from collections.abc import Iterable, Iterator

from nodeplug.backend import Finding
from nodeplug.host.identities import Identities
from nodeplug.host.reads import Reads
from nodeplug.host.root import HostRoot
from nodeplug.values.device import Device
from nodeplug_custom.hardware import Hardware, HardwareMemory
from nodeplug_custom.interest import Interest
from nodeplug_custom.precedence import look
from nodeplug_custom.selection import Selection, View, leads_out
from nodeplug_custom.settings import CustomSettings
from nodeplug_custom.unit import GROUP


def findings(settings: CustomSettings, root: HostRoot) -> list[Finding]:
    """Return them. Blocks."""
    return [*_folders(settings, root), *_clashes(settings), *_of_hardware(settings, root)]


def _folders(settings: CustomSettings, root: HostRoot) -> Iterator[Finding]:
    interest = Interest(settings)
    wanted = [("/dev", root.dev)] if settings.resources else []
    wanted += [("/sys/devices", root.sys / "devices")] if interest.any else []
    wanted += [("/run/udev/data", root.run / "udev/data")] if interest.udev_database else []
    for name, folder in wanted:
        if not folder.is_dir():
            yield Finding(
                "problem",
                name,
                "is not there, so nothing can be selected by it",
                f"mount the host's {name} into the agent's container",
            )


def _clashes(settings: CustomSettings) -> Iterator[Finding]:
    """R60: a container with devices of both resources gets one value, whichever comes last."""
    owners: dict[str, tuple[str, str]] = {}
    for resource in settings.resources:
        for name, text in resource.env.items():
            owner, other = owners.setdefault(name, (resource.name, text))
            if owner != resource.name and other != text:
                yield Finding(
                    "warning",
                    f"environment variable {name}",
                    f"is set by {owner} and by {resource.name}",
                    "give each resource a variable of its own",
                    "R60: a container with both gets either value",
                )


def _of_hardware(settings: CustomSettings, root: HostRoot) -> Iterator[Finding]:
    memory = HardwareMemory()
    hardware = Hardware(settings, memory, Interest(settings), Identities())
    view, devices = look(root, Selection(settings, Identities()), hardware)
    yield from _links(view)
    yield from _groups(devices)
    yield from _silent(memory.reads)
    for lost in hardware.lost:
        yield Finding(
            "warning",
            lost.name,
            f"matches an entry of {lost.resource}, which does not get it: {lost.reason}",
            "narrow one of the entries, or add what is missing",
        )


def _links(view: View) -> Iterator[Finding]:
    """Say which links are refused."""
    for seen in view.sightings.values():
        if seen.outside:
            yield Finding(
                "warning",
                seen.path,
                leads_out(seen.outside),
                "find out who made it; if it is meant, give its entry `followLinks: true`",
                "whoever writes to that directory would choose what of the host containers get",
            )


def _silent(reads: Reads) -> Iterator[Finding]:
    """Say which devices do not answer."""
    for device, what in reads.silent.items():
        yield Finding(
            "problem",
            device,
            f"does not answer: {what} cannot be read",
            "unplug or reset it; `dmesg` says what its driver waits for",
            "the kernel holds the device's lock meanwhile, and nobody can use it",
        )


def _groups(devices: Iterable[Device]) -> Iterator[Finding]:
    """Say which devices VFIO gives to one container only."""
    groups: dict[str, list[str]] = {}
    for device in devices:
        for found in filter(None, (GROUP.fullmatch(node.host_path) for node in device.edits.nodes)):
            groups.setdefault(found[1], []).append(device.id)
    for group, ids in groups.items():
        if len(ids) > 1:
            yield Finding(
                "warning",
                f"IOMMU group {group}",
                f"while a container has one of {', '.join(ids)}, no other gets the rest",
                "let one container have all, or make a set of them",
            )
