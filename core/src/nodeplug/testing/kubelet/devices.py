"""The device manager's tables: devices, endpoints, what is given to which container."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.kubelet.endpoint import Endpoint
from nodeplug.testing.kubelet.topology import Mask

# R28: capacity of a stopped endpoint stands for five minutes.
GRACE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the node status says of a resource (R27)."""

    capacity: int
    allocatable: int


@dataclass(slots=True)
class Allocation:
    """The devices of one resource in one container, with the response that came for them.

    `pod` is the pod's uid.
    """

    pod: str
    container: str
    resource: str
    ids: frozenset[str]
    numa: dict[str, tuple[int, ...]]
    response: api.ContainerAllocateResponse


@dataclass(slots=True)
class DeviceTables:
    """Everything the device manager knows, pods by their uid."""

    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    healthy: dict[str, set[str]] = field(default_factory=dict)
    unhealthy: dict[str, set[str]] = field(default_factory=dict)
    devices: dict[str, dict[str, api.Device]] = field(default_factory=dict)
    allocations: list[Allocation] = field(default_factory=list)
    in_use: dict[str, set[str]] = field(default_factory=dict)
    affinities: dict[tuple[str, str], Mask | None] = field(default_factory=dict)
    news: set[tuple[str, str]] = field(default_factory=set)
    _reusable: dict[str, dict[str, set[str]]] = field(default_factory=dict)

    @property
    def resources(self) -> AbstractSet[str]:
        """The resources that were listed, or whose stream ended before they were (R29)."""
        return self.healthy.keys() | self.unhealthy.keys()

    def update(self, resource: str, listed: Iterable[api.Device]) -> None:
        """Replace a resource's devices (R21); one id sent in both healths counts twice (R23).

        Ids that are new, or whose health is another, are added to `news` with it (R70).
        """
        before = self.devices.get(resource, {})
        devices: dict[str, api.Device] = {}
        healthy: set[str] = set()
        unhealthy: set[str] = set()
        for device in listed:
            if device.ID not in before or before[device.ID].health != device.health:
                self.news.add((resource, device.ID))
            devices[device.ID] = device
            (healthy if device.health == "Healthy" else unhealthy).add(device.ID)
        self.devices[resource] = devices
        self.healthy[resource], self.unhealthy[resource] = healthy, unhealthy

    def mark_unhealthy(self, resource: str) -> None:
        """Move all devices to the unhealthy ones; where none were listed, no healthy ones exist.

        Then the node shows the resource, and no admission sees to it (R29).
        """
        moved = self.healthy.get(resource, set())
        self.unhealthy[resource] = self.unhealthy.get(resource, set()) | moved
        if resource in self.healthy:
            self.healthy[resource] = set()

    def expire(self, now: float) -> list[str]:
        """Forget the resources whose grace period is over; return them (R28)."""
        over = [r for r in self.resources if self._is_over(r, now)]
        for resource in over:
            self.endpoints.pop(resource, None)
            self.healthy.pop(resource, None)
            self.unhealthy.pop(resource, None)
        return over

    def capacities(self) -> dict[str, Capacity]:
        """Return what is to be said of every known resource."""
        found = {}
        for resource in self.resources:
            healthy = len(self.healthy.get(resource, ()))
            unhealthy = len(self.unhealthy.get(resource, ()))
            found[resource] = Capacity(healthy + unhealthy, healthy)
        return found

    def free(self, active: AbstractSet[str]) -> None:
        """Drop the allocations of all but these pods (R47).

        The ids in use are derived anew only if there were any; until then those reserved by an
        allocation that came to nothing stay so (R42).
        """
        kept = [allocation for allocation in self.allocations if allocation.pod in active]
        if len(kept) < len(self.allocations):
            self.allocations = kept
            self.recompute_in_use()

    def recompute_in_use(self) -> None:
        """Derive the ids in use from the allocations."""
        self.in_use = {}
        for allocation in self.allocations:
            self.in_use.setdefault(allocation.resource, set()).update(allocation.ids)

    def of_container(self, pod: str, container: str) -> list[Allocation]:
        """Return what a container has."""
        return [a for a in self.allocations if (a.pod, a.container) == (pod, container)]

    def manages(self, resource: str) -> bool:
        """Whether a resource is a device plugin's: it is registered, or some of it is in use."""
        return resource in self.healthy or resource in self.in_use

    def find(self, pod: str, container: str, resource: str) -> Allocation | None:
        """Return what a container has of a resource."""
        held = self.of_container(pod, container)
        return next((a for a in held if a.resource == resource), None)

    def reusable(self, pod: str) -> dict[str, set[str]]:
        """Return what the pod's init containers had, by resource; drop other pods' (R46)."""
        self._reusable = {pod: self._reusable.get(pod, {})}
        return self._reusable[pod]

    def restore(
        self, allocations: Iterable[Allocation], resources: Iterable[str], now: float
    ) -> None:
        """Begin with what a checkpoint tells: no devices, and plugins that have stopped (R30)."""
        self.allocations.extend(allocations)
        self.recompute_in_use()
        for resource in resources:
            self.endpoints[resource] = Endpoint.stopped_at_start(resource, now)
            self.healthy[resource], self.unhealthy[resource] = set(), set()

    def _is_over(self, resource: str, now: float) -> bool:
        endpoint = self.endpoints.get(resource)
        return endpoint is None or endpoint.expired(now, GRACE_SECONDS)
