"""What must hold of hardware besides that it is there."""

import errno
import os
import re
from collections.abc import Collection, Mapping

from nodeplug.host.nodes import Seen, see
from nodeplug.host.root import HostRoot
from nodeplug_custom.findings_values import Finding
from nodeplug_custom.kernel_devices import KernelDevice
from nodeplug_custom.matches import HealthSettings, satisfies
from nodeplug_custom.matching import driver_of
from nodeplug_custom.unit import Unit

_RANGE = re.compile(r"(-?[0-9.]*)\.\.(-?[0-9.]*)")
_SHOWN = 40


def judged(
    root: HostRoot, unit: Unit, failed_pci: Collection[str]
) -> tuple[Mapping[str, Seen], str]:
    """Return what is at a device's nodes' paths, and why it is not healthy, or empty.

    Blocks; opens a node only if the configuration says so. One that is in use is well.
    """
    seen = {node.host_path: see(root.path(node.host_path)) for node in unit.nodes}
    return seen, _trouble(root, unit, seen, failed_pci)


def _trouble(
    root: HostRoot, unit: Unit, seen: Mapping[str, Seen], failed_pci: Collection[str]
) -> str:
    if unit.missing:
        return unit.missing
    for node in unit.nodes:
        if not node.host_path.isprintable() or "," in node.host_path:
            return "its path has a comma or an unprintable character"
        if seen[node.host_path].kind is None:
            return f"{node.host_path} is not present"
    health = unit.entry.health if unit.entry else HealthSettings()
    if health.open and (problem := _open(root, unit)):
        return problem
    reasons = (_of_finding(root, each, health, failed_pci) for each in unit.findings)
    return next((reason for reason in reasons if reason), "")


def _open(root: HostRoot, unit: Unit) -> str:
    for node in unit.nodes:
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
            os.close(os.open(root.path(node.host_path), flags))
        except OSError as error:
            if error.errno != errno.EBUSY:
                return f"{node.host_path} cannot be opened: {error.strerror}"
    return ""


def _of_finding(
    root: HostRoot, finding: Finding, health: HealthSettings, failed_pci: Collection[str]
) -> str:
    failed = [step for step in finding.devpath.split("/") if step in failed_pci]
    if health.pci_errors and failed:
        return f"PCI function {failed[-1]} had an error"
    device = KernelDevice(root, finding.devpath)
    if health.driver and not satisfies(health.driver, driver := driver_of(device)):
        return f"driver is {driver or 'none'}, not {health.driver}"
    for name, wanted in health.attributes.items():
        value = device.attribute(name)
        if not holds(wanted, value):
            return f"{name} is {_shown(value)}, not {wanted}"
    return ""


def holds(wanted: str, value: str | None) -> bool:
    """Return whether a value matches a glob, or lies within a range `low..high`."""
    bounds = _RANGE.fullmatch(wanted)
    if bounds is None:
        return value is not None and satisfies(wanted, value)
    try:
        number = float(value or "")
        low, high = (float(bound) if bound else None for bound in bounds.groups())
    except ValueError:
        return False
    return (low is None or number >= low) and (high is None or number <= high)


def _shown(value: str | None) -> str:
    return "missing" if value is None else ascii(value[:_SHOWN])
