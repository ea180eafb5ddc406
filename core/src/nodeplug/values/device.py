"""One device, as its backend sees it."""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nodeplug.values.edits import NO_EDITS, ContainerEdits
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.hardware import NO_USES, Uses
from nodeplug.values.names import check_resource_name

# The kubelet's API promises 63 characters (R23); 7 are left for a replica suffix "::<n>".
ID_LIMIT = 56
# The characters of a CDI device name, so that one id serves both worlds.
_ID = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")
# R35: the kubelet's Topology Manager keeps NUMA nodes in a 64-bit mask.
_NUMA_LIMIT = 64
# R101: what a DRA ResourceSlice holds for one device.
_FACTS_LIMIT = 32
_FACT_NAME = re.compile(r"([a-z0-9.-]{1,63}/)?[A-Za-z_][A-Za-z0-9_]{0,31}")
_FACT_VALUE_LIMIT = 64  # bytes

Attribute = str | int | bool
_NO_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({})
_NO_CAPACITY: Mapping[str, int] = MappingProxyType({})


class Health(enum.Enum):
    """The two states the kubelet knows (R23); the values are its spelling."""

    HEALTHY = "Healthy"
    UNHEALTHY = "Unhealthy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device with its health and with all that a container needs to use it.

    `id` is stable over restart and replug, and unique on the node across all backends. `resource`
    is the backend's own name for what kind it is; operators may rename it. `parent` is the id of
    the physical device that several devices share, or empty. An unhealthy device has a reason,
    one line for the operator. `numa_nodes` stays empty where the kernel says -1 (R35). `location`
    names the places from the host down to the device, a PCI root and its bridges for example: the
    more of them two devices share, the closer they are.

    `hardware` says what the device is besides its nodes and what stands above them, which core
    finds by itself, and how it uses that. With "path NODE" it says how it uses one of its nodes,
    which is otherwise alone, or not at all where many are meant to open it (/dev/kvm). What merely
    accompanies the device, such as a control node of its driver, belongs into the edits of the
    inventory or of an allocation instead. Core takes a device that is the same object as in the
    inventory before for unchanged, its nodes too.
    """

    id: str
    resource: str
    health: Health = Health.HEALTHY
    reason: str = ""
    parent: str = ""
    numa_nodes: tuple[int, ...] = ()
    location: tuple[str, ...] = ()
    attributes: Mapping[str, Attribute] = field(default_factory=lambda: _NO_ATTRIBUTES)
    capacity: Mapping[str, int] = field(default_factory=lambda: _NO_CAPACITY)
    edits: ContainerEdits = NO_EDITS
    hardware: Uses = field(default_factory=lambda: NO_USES)

    def __post_init__(self) -> None:
        check_device_id(self.id)
        check_resource_name(self.resource)
        if (self.health is Health.UNHEALTHY) != bool(self.reason):
            raise InvalidValueError(f"device {self.id}: a reason is given if and only if unhealthy")
        if any(not 0 <= node < _NUMA_LIMIT for node in self.numa_nodes):
            raise InvalidValueError(f"device {self.id}: NUMA nodes {self.numa_nodes} not in 0..63")
        _check_facts(self)

    @property
    def healthy(self) -> bool:
        """Whether new containers may get the device."""
        return self.health is Health.HEALTHY


def check_device_id(device_id: str) -> str:
    """Return the id unchanged if kubelet, CDI and replica suffixes can all live with it."""
    if len(device_id) > ID_LIMIT or "::" in device_id or not _ID.fullmatch(device_id):
        raise InvalidValueError(
            f"device id {device_id!r} needs 1 to {ID_LIMIT} of A-Z a-z 0-9 _ . : - without '::', "
            "alphanumeric at both ends"
        )
    return device_id


def as_attribute(text: str, *, end: bool = False) -> str:
    """Return as much of a text as an attribute holds, from its beginning or its end."""
    data = _bytes(text)
    if len(data) <= _FACT_VALUE_LIMIT:
        return data.decode()
    kept = data[-_FACT_VALUE_LIMIT:] if end else data[:_FACT_VALUE_LIMIT]
    return kept.decode(errors="ignore")


def _check_facts(device: Device) -> None:
    if len(device.attributes) + len(device.capacity) > _FACTS_LIMIT:
        raise InvalidValueError(f"device {device.id}: more than {_FACTS_LIMIT} attributes")
    for name in (*device.attributes, *device.capacity):
        if not _FACT_NAME.fullmatch(name):
            raise InvalidValueError(
                f"device {device.id}: attribute name {name!r} is not DRA's form"
            )
    for name, value in device.attributes.items():
        if isinstance(value, str) and len(_bytes(value)) > _FACT_VALUE_LIMIT:
            raise InvalidValueError(
                f"device {device.id}: attribute {name} exceeds {_FACT_VALUE_LIMIT} bytes"
            )


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")
