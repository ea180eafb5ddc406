"""Whether a selector means a device, and if not, why."""

from collections.abc import Callable, Sequence
from typing import Final

from nodeplug_sriov_net.candidates import Candidate
from nodeplug_sriov_net.patterns import Patterns, plain_address, plain_hex, plain_key
from nodeplug_sriov_net.selector_settings import SelectorSettings, camel

Values = Callable[[Candidate], Sequence[str]]


def _text(value: str | None) -> Sequence[str]:
    return (value,) if value else ()


def _owner_name(candidate: Candidate) -> Sequence[str]:
    return candidate.owner_link.names if candidate.owner_link else ()


def _owner_address(candidate: Candidate) -> Sequence[str]:
    return _text(candidate.owner.address if candidate.owner else candidate.function.physfn)


def _keys(candidate: Candidate) -> Sequence[str]:
    infiniband = candidate.link is not None and candidate.link.kind == "infiniband"
    return [each.key for each in candidate.part.rdma if each.key] if infiniband else ()


# In the order in which a device is held against them.
_LISTS: Final[tuple[tuple[str, Values, Callable[[str], str], bool], ...]] = (
    ("vendors", lambda c: _text(c.function.pci.vendor), plain_hex, False),
    ("devices", lambda c: _text(c.function.pci.device), plain_hex, False),
    ("drivers", lambda c: _text(c.function.pci.driver), str, False),
    ("pci_addresses", lambda c: (c.id,), plain_address, False),
    ("acpi_indexes", lambda c: _text(c.function.acpi_index), str, False),
    ("pf_names", _owner_name, str.lower, True),
    ("root_devices", _owner_address, plain_address, True),
    ("link_types", lambda c: (c.link.kind,) if c.link else (), str, False),
    ("ddp_profiles", lambda c: _text(c.ddp), str, False),
    ("p_keys", _keys, plain_key, False),
    ("netdevs", lambda c: [name for link in c.links for name in link.names], str, False),
    ("macs", lambda c: [link.address for link in c.links], str.lower, False),
)


class Matcher:
    """One selector, ready to be held against devices."""

    def __init__(self, settings: SelectorSettings) -> None:
        self.settings = settings
        self._lists = [
            (key, values, Patterns(getattr(settings, key), normal, ranged=ranged))
            for key, values, normal, ranged in _LISTS
            if getattr(settings, key)
        ]

    def refusal(self, candidate: Candidate, *, any_driver: bool = False) -> str:
        """Return why the device is not selected, or nothing; a driver may be left out of it."""
        for key, values, patterns in self._lists:
            if key == "drivers" and any_driver:
                continue
            found = values(candidate)
            if not patterns.match(found, candidate.index):
                return f"{camel(key)}: {_shown(key, found, candidate)} is not selected"
        return self._other_refusal(candidate)

    def _other_refusal(self, candidate: Candidate) -> str:
        wanted, numa = self.settings, candidate.function.pci.numa
        if wanted.is_rdma and not candidate.part.capable:
            return "isRdma: it is not capable of RDMA"
        if wanted.vdpa_type and candidate.vdpa_driver != wanted.vdpa_type:
            return f"vdpaType: it has no vDPA device bound to {wanted.vdpa_type}"
        if wanted.numa_nodes and not numa:
            return "numaNodes: its NUMA node is not known"
        if wanted.numa_nodes and not set(numa) & set(wanted.numa_nodes):
            return f"numaNodes: {_shown('', [*map(str, numa)], candidate)} is not selected"
        return self._speed_refusal(candidate.speed)

    def _speed_refusal(self, speed: int) -> str:
        if self.settings.min_speed_mbps <= speed:
            return ""
        return (
            f"minSpeedMbps: {speed} is too slow"
            if speed
            else "minSpeedMbps: its speed is not known"
        )


def _shown(key: str, found: Sequence[str], candidate: Candidate) -> str:
    text = ", ".join(found) or "none"
    ranged = key in {"pf_names", "root_devices"} and candidate.index is not None
    return f"{text}#{candidate.index}" if ranged else text
