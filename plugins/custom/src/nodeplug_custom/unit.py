"""What containers get as one device."""

import re
from collections.abc import Mapping

import msgspec

from nodeplug_custom.findings_values import Finding
from nodeplug_custom.matches import HardwareSettings

# Nodes that every user of VFIO needs besides its own, and those that all functions of a group have.
CONTROL = frozenset({"/dev/vfio/vfio", "/dev/iommu"})
GROUP = re.compile(r"/dev/vfio/(?:noiommu-)?(\d+)")


class UnitNode(msgspec.Struct, frozen=True):
    """A path of the host that a device consists of, and where containers find it.

    `permissions` are None where its kind decides. What is `beside` merely accompanies the device;
    other devices of its resource may have it as well. A `mount` is one, also of a device node.
    """

    host_path: str
    container_path: str
    permissions: str | None
    exclusive: bool | None = None
    beside: bool = False
    mount: bool = False


class Unit(msgspec.Struct, frozen=True):
    """One device for containers. `findings` are what it consists of; none for plain paths.

    `missing` says why it is not complete, or is empty.
    """

    id: str
    nodes: tuple[UnitNode, ...]
    findings: tuple[Finding, ...] = ()
    entry: HardwareSettings | None = None
    missing: str = ""
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def known(self) -> bool:
        """Whether all of it has said what it is."""
        return all(each.known for each in self.findings)
