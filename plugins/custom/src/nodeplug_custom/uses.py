"""What of the hardware a device of the configuration is, besides what its nodes tell."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from nodeplug.values.hardware import EXCLUSIVE, NO_USES, SHARED, HardwareKey, Use, Uses
from nodeplug_custom.settings import DeviceSettings
from nodeplug_custom.units import CONTROL, Unit, UnitNode


def of_path(settings: DeviceSettings, real: str) -> Uses:
    """Return what a device by path is; what is no node is the path itself."""
    if settings.exclusive is None and settings.is_node:
        return NO_USES
    return {f"path {real}": SHARED if settings.exclusive is False else EXCLUSIVE}


def of_unit(unit: Unit, common: Collection[str]) -> Uses:
    """Return what hardware a unit is; nodes in `common` accompany several of one resource."""
    return {**dict(_functions(unit)), **dict(_nodes(unit.nodes, common))}


def common_nodes(units: Iterable[Unit]) -> Collection[str]:
    """Return the nodes that accompany several devices, such as a control node that all list."""
    # A node with a finding is hardware of its own; those of a VFIO group are one container's.
    plain = (unit for unit in units if not unit.findings)
    counts = Counter(path for unit in plain for path in {node.host_path for node in unit.nodes})
    return {path for path, count in counts.items() if count > 1}


def _functions(unit: Unit) -> Iterator[tuple[HardwareKey, Use]]:
    for finding in unit.findings:
        if finding.whole and finding.parent.address:
            yield f"pci {finding.parent.address}", EXCLUSIVE


def _nodes(nodes: Iterable[UnitNode], common: Collection[str]) -> Iterator[tuple[HardwareKey, Use]]:
    for node in nodes:
        shared = node.exclusive is False or (node.exclusive is None and node.host_path in common)
        if shared or node.host_path in CONTROL:
            yield f"path {node.host_path}", SHARED
        elif node.exclusive:
            yield f"path {node.host_path}", EXCLUSIVE
