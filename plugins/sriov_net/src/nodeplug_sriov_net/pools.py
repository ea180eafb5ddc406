"""Which pool a device is in."""

import msgspec

from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.facts import Function
from nodeplug_sriov_net.matching import Matcher
from nodeplug_sriov_net.memory import Memory, Place
from nodeplug_sriov_net.selector_settings import SelectorSettings
from nodeplug_sriov_net.settings import PoolSettings, SriovNetSettings
from nodeplug_sriov_net.survey import SILENT

UPLINK = "carries a default route of the node"
HAS_VIRTUAL = "is a physical function with virtual functions"
NO_DRIVER = "no driver is bound to it"
NO_CDEV = "the kernel has no VFIO node for it (CONFIG_VFIO_DEVICE_CDEV), which vfio: iommufd needs"
NO_GROUP = "the kernel has no VFIO node for its group (CONFIG_VFIO_GROUP), which vfio: group needs"
PROBING = "its driver is still probing it"


class Member(msgspec.Struct, frozen=True):
    """A device in a pool, by one of its selectors. `reason` says why it is of no use now."""

    device: Candidate
    pool: PoolSettings
    selector: SelectorSettings
    reason: str = ""


class Pools:
    """The pools of a configuration, in its order; the first that selects a device has it."""

    def __init__(self, settings: SriovNetSettings) -> None:
        self._pools = {pool.name: pool for pool in settings.pools}
        self._matchers = [
            (pool, [Matcher(selector) for selector in pool.selectors]) for pool in settings.pools
        ]

    @property
    def _asks_for_adapters(self) -> bool:
        # Nobody can say then which pool is the first that selects a function.
        return any(each.pf_names for pool in self._pools.values() for each in pool.selectors)

    @property
    def names(self) -> list[str]:
        """All resources."""
        return [*self._pools]

    def member(self, device: Candidate, memory: Memory) -> Member | None:
        """Return the device as a member of its pool, or None where it is in none.

        A device that lost its driver, or has another than its pool expects, stays where it was
        until another pool selects it.
        """
        if self.exclusion(device):
            return None
        found = self._select(device)
        if found is None or not device.driver:
            found = self._last(device, memory) or found
        if found is not None:
            memory.serve(device.id, Place(found.pool.name, found.selector))
        return found

    def exclusion(self, device: Candidate) -> str:
        """Return why a device may be in no pool whatever selects it, or nothing."""
        if device.uplink and not any(pool.serve_uplinks for pool in self._pools.values()):
            return UPLINK
        if device.device_types == ("netDevice",) and device.function.has_virtual:
            return HAS_VIRTUAL
        adapter = device.function.physfn
        if adapter and device.owner is None and self._asks_for_adapters:
            return f"pfNames: the name of its adapter {adapter} is not known"
        return ""

    def refusals(self, device: Candidate) -> list[tuple[str, str]]:
        """Return why each pool in turn does not select the device: (pool, reason)."""
        return [
            (pool.name, self._refusal(device, pool, matchers)) for pool, matchers in self._matchers
        ]

    def _select(self, device: Candidate) -> Member | None:
        for pool, matchers in self._matchers:
            if pool.device_type in device.device_types and _may_have(pool, device):
                for each in matchers:
                    if not each.refusal(device):
                        return Member(device, pool, each.settings, _reason(device, pool))
        return None

    def _last(self, device: Candidate, memory: Memory) -> Member | None:
        place = memory.place(device.id)
        pool = self._pools.get(place.pool) if place else None
        if place is None or pool is None or place.selector not in pool.selectors:
            return None
        if not _may_have(pool, device):
            return None
        if not device.driver:
            return Member(device, pool, place.selector, _reason(device, pool))
        if not Matcher(SelectorSettings(drivers=place.selector.drivers)).refusal(device):
            return None
        wanted = " or ".join(place.selector.drivers)
        reason = f"its driver is {device.function.pci.driver}, not {wanted}"
        return Member(device, pool, place.selector, reason)

    def _refusal(self, device: Candidate, pool: PoolSettings, matchers: list[Matcher]) -> str:
        if pool.device_type not in device.device_types:
            return f"deviceType: it is no {pool.device_type}"
        if not _may_have(pool, device):
            return f"serveUplinks: it {UPLINK}"
        reasons = [each.refusal(device) for each in matchers]
        return "" if "" in reasons else "; ".join(reasons)


def _may_have(pool: PoolSettings, device: Candidate) -> bool:
    return pool.serve_uplinks or not device.uplink


def _reason(device: Candidate, pool: PoolSettings) -> str:
    """Return why a device is of no use now whatever its pool wants, or nothing."""
    function = device.function
    if function.silent:
        return SILENT
    if not device.driver:
        return NO_DRIVER
    if function.is_probing:
        return PROBING
    return function.hindrance or _without_node(function, pool)


def _without_node(function: Function, pool: PoolSettings) -> str:
    if not function.by_vfio:
        return ""
    if pool.vfio == "iommufd" and not function.cdev:
        return NO_CDEV
    return NO_GROUP if pool.vfio == "group" and function.cdev and not function.group_node else ""
