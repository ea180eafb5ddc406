"""What of the hardware a device of the configuration is, besides what its nodes tell."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping

from nodeplug.host.hardware import NUMBERS_FOR_MANY, OPENED_BY_MANY
from nodeplug.host.nodes import Seen
from nodeplug.values.hardware import EXCLUSIVE, SHARED, HardwareKey, Use, Uses, united
from nodeplug_custom.selection import Sighting
from nodeplug_custom.settings import DeviceSettings, ResourceSettings
from nodeplug_custom.unit import CONTROL, Unit, UnitNode


def of_path(resource: ResourceSettings, settings: DeviceSettings, seen: Sighting) -> Uses:
    """Return what a device by path is; what is no node is the path itself."""
    use = SHARED if settings.exclusive is False else EXCLUSIVE
    told = settings.exclusive is not None or not settings.is_node
    uses: dict[HardwareKey, Use] = {**_common(resource)}
    inner = [(each.path, each.seen.key) for each in seen.inside]
    for path, key in inner or [(seen.real, seen.key)]:
        uses.update({f"path {path}": use} if told else {})
        uses.update(_number(key, path, use, alone=settings.exclusive is True))
    return uses


def of_unit(
    resource: ResourceSettings, unit: Unit, common: Collection[str], seen: Mapping[str, Seen]
) -> Uses:
    """Return what hardware a unit is; nodes in `common` accompany several of one resource."""
    own = united([dict(_functions(unit)), *_nodes(unit.nodes, common, seen)])
    return {**_common(resource), **own}


def _common(resource: ResourceSettings) -> Uses:
    return {f"path {each.path}": SHARED for each in resource.nodes}


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


def _nodes(
    nodes: Iterable[UnitNode], common: Collection[str], seen: Mapping[str, Seen]
) -> Iterator[Uses]:
    for node in nodes:
        path = node.host_path
        shared = node.exclusive is False or (node.exclusive is None and path in common)
        use = SHARED if shared or path in CONTROL else EXCLUSIVE
        if use == SHARED or node.exclusive:
            yield {f"path {path}": use}
        alone = node.exclusive is True and use == EXCLUSIVE
        yield _number(seen[path].key, path, use, alone=alone)


def _number(key: HardwareKey, path: str, use: Use, *, alone: bool) -> Uses:
    """Return the use of a device number: with another one the same path is another device.

    Core finds it, too, but only in /dev, and only where the device has changed.
    """
    for_many = path in OPENED_BY_MANY or key in NUMBERS_FOR_MANY
    return {key: use} if key and (alone or not for_many) else {}
