"""What a backend is, and what it may do besides."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec

from nodeplug.values.device import Device
from nodeplug.values.edits import ContainerEdits
from nodeplug.values.inventory import Inventory


@runtime_checkable
class Backend(Protocol):
    """One vendor's devices on this host.

    Both methods run on the agent's event loop and must not block it; driver calls go through
    `nodeplug.host.calls`.
    """

    def inventories(self) -> AsyncGenerator[Inventory, None]:
        """Yield the devices found now, then again after every change of any kind.

        Each item is the whole truth; core finds out what changed. Core closes the generator to
        stop the backend. An exception restarts the backend with a growing pause; meanwhile its
        last inventory stands for 30 s, then its devices turn Unhealthy.
        """
        ...

    async def allocate(self, resource: str, devices: Sequence[Device]) -> ContainerEdits:
        """Return what the set of devices adds to a container beyond the edits of each device.

        `resource` is the public name; devices come in order of id, each once. The call is quick,
        keeps no state and may be repeated for the same devices: the kubelet never says when they
        are free again (R46). Equal arguments give equal results, over restarts too (R45).
        """
        ...


@runtime_checkable
class Preparer(Protocol):
    """A backend that makes devices ready just before a container starts."""

    async def prepare(self, resource: str, devices: Sequence[Device]) -> None:
        """Make the devices ready; return within 25 s, the kubelet gives up after 30 (R55).

        The call is idempotent: it is repeated at every restart of the container, and comes for
        devices that a sibling container is using.
        """
        ...


class HostFile(msgspec.Struct, frozen=True):
    """A file that a backend wants on the host: a device-info file, a list of features.

    `path` is absolute, as the host sees it. A file that belongs to a device of a resource, under
    its public name, stays as long as a container may hold the device; any other goes as soon as
    the backend no longer wants it.
    """

    path: str
    data: bytes
    resource: str = ""
    device: str = ""
    mode: int = 0o644


@runtime_checkable
class HostFiles(Protocol):
    """A backend whose devices need files on the host. Core writes and removes them."""

    def host_files(self, offers: Mapping[str, Sequence[Device]]) -> Sequence[HostFile]:
        """Return all files wanted for these devices, by public name of their resource.

        Quick, without effects; equal arguments give equal results. The files are in place before
        the kubelet is told of the devices.
        """
        ...


class Offered(msgspec.Struct, frozen=True):
    """What is advertised under one public name: physical devices, each for `replicas` containers.

    `native` is the backend's own name of the resource.
    """

    native: str
    devices: Sequence[Device]
    replicas: int = 1


@runtime_checkable
class Labels(Protocol):
    """A backend that has something to say of the node as a whole, for schedulers and people.

    Core writes the labels to a file that Node Feature Discovery reads, where that is switched on.
    """

    def labels(self, offers: Mapping[str, Offered]) -> Mapping[str, str]:
        """Return the labels for these offers, by public name of their resource.

        Quick, without effects. Names are as Kubernetes wants them, with a domain; core drops, and
        logs, a label that Kubernetes would refuse.
        """
        ...


# Names and units as Prometheus has them; `nodeplug_device_` is put before.
Quantity = Literal[
    "temperature_celsius",
    "power_watts",
    "memory_used_bytes",
    "memory_size_bytes",
    "utilization_ratio",
    "link_up",
    "link_speed_bytes_per_second",
    "errors_total",
]


class Measurement(msgspec.Struct, frozen=True):
    """What was measured of one device now, in the unit that the quantity names."""

    device: str
    quantity: Quantity
    value: float


@runtime_checkable
class Telemetry(Protocol):
    """A backend that can cheaply measure its devices."""

    async def measure(self) -> Sequence[Measurement]:
        """Return what can be measured, at most once per device and quantity.

        Called when metrics are asked for, if per-device metrics are switched on; what takes more
        than 1 s is given up. A device that cannot be measured is left out.
        """
        ...
