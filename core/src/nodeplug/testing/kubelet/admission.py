"""Admitting pods: which devices a container gets, and what the plugin answers."""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from nodeplug.testing.kubelet.checkpoint import Checkpoint
from nodeplug.testing.kubelet.choosing import Choice, Chooser
from nodeplug.testing.kubelet.devices import Allocation, DeviceTables
from nodeplug.testing.kubelet.endpoint import CallError
from nodeplug.testing.kubelet.errors import AdmissionError, AffinityError
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.order import Order
from nodeplug.testing.kubelet.pods import Container, Pod
from nodeplug.testing.kubelet.topology import (
    Demand,
    Mask,
    Topology,
    TopologyError,
    choose_affinity,
    has_topology,
    numa_of,
)


class Admission:
    """The device manager's side of pod admission."""

    def __init__(
        self,
        tables: DeviceTables,
        checkpoint: Checkpoint,
        journal: Journal,
        topology: Topology,
        order: Order,
    ) -> None:
        self._tables = tables
        self._checkpoint = checkpoint
        self._journal = journal
        self._topology = topology
        self._order = order
        self._chooser = Chooser(tables, journal)

    async def admit(self, pod: Pod, running: AbstractSet[str] = frozenset()) -> None:
        """Allocate for every container in order (R41); raise AdmissionError.

        `running` names containers found running while the kubelet starts; they are spared all
        checks (R44). What was allocated before the failure stays until the pod is dropped.
        """
        for container in pod.in_order:
            affinity = self._affinity(pod, container)
            self._tables.affinities[pod.uid, container.name] = affinity
            spared = container.name in running
            await self.provide(pod, container, container.limits, spared=spared)

    async def provide(
        self, pod: Pod, container: Container, resources: Iterable[str], *, spared: bool = False
    ) -> None:
        """Allocate for one container what it does not have yet; raise AdmissionError."""
        before = len(self._tables.allocations)
        for resource in self._order.of(resources):
            self._check_count(pod, container, resource)
            if not spared:
                await self._provide(pod, container, resource)
        if len(self._tables.allocations) > before:
            self._save()
        self._pass_on(pod, container)

    def _save(self) -> None:
        if problem := self._checkpoint.write(self._tables):
            raise AdmissionError(problem)

    async def _provide(self, pod: Pod, container: Container, resource: str) -> None:
        have = self._tables.find(pod.uid, container.name, resource)
        self._check_health(resource, have)
        count = container.limits[resource]
        if have is None and count:
            in_use = self._tables.in_use.setdefault(resource, set())
            choice = Choice(resource, count, in_use, self._order)
            reusable = self._tables.reusable(pod.uid).get(resource, set())
            affinity = self._tables.affinities.get((pod.uid, container.name))
            await self._chooser.choose(choice, reusable, affinity)
            await self._allocate(pod, container, resource, choice.ids)

    def _pass_on(self, pod: Pod, container: Container) -> None:
        # R46: what an ordinary init container had may be had again; all others keep theirs.
        reusable = self._tables.reusable(pod.uid)
        for allocation in self._tables.of_container(pod.uid, container.name):
            pool = reusable.setdefault(allocation.resource, set())
            if container.init and not container.sidecar:
                pool.update(allocation.ids)
            else:
                pool.difference_update(allocation.ids)

    def _affinity(self, pod: Pod, container: Container) -> Mask | None:
        demands = []
        reusable = self._tables.reusable(pod.uid)
        for resource, count in container.limits.items():
            table = self._tables.devices.get(resource, {})
            have = self._tables.find(pod.uid, container.name, resource)
            if have is not None:
                self._check_hints(resource, have)
                demands.append(Demand(table, have.ids, frozenset(), count))
                continue
            free = self._tables.healthy.get(resource, set()) - self._tables.in_use.get(
                resource, set()
            )
            demands.append(Demand(table, free, reusable.get(resource, set()), count))
        try:
            return choose_affinity(self._topology, demands)
        except TopologyError as error:
            raise AffinityError(str(error)) from error

    def _check_hints(self, resource: str, have: Allocation) -> None:
        table = self._tables.devices.get(resource, {})
        missing = sorted(have.ids - table.keys())
        if missing and has_topology(table) and self._topology.policy != "none":
            self._journal.violate(
                "R33", f"GetTopologyHints would panic: {resource} no longer lists {missing}"
            )

    def _check_count(self, pod: Pod, container: Container, resource: str) -> None:
        have = self._tables.find(pod.uid, container.name, resource)
        count = container.limits[resource]
        if have is not None and len(have.ids) != count:
            raise AdmissionError(
                f'pod "{pod.uid}" container "{container.name}" changed request for resource '
                f'"{resource}" from {len(have.ids)} to {count}'
            )

    def _check_health(self, resource: str, have: Allocation | None) -> None:
        healthy = self._tables.healthy.get(resource)
        if healthy is None:
            raise AdmissionError(f"cannot allocate unregistered device {resource}")
        if not healthy:
            raise AdmissionError(
                f"no healthy devices present; cannot allocate unhealthy devices {resource}"
            )
        if have is not None and not healthy >= have.ids:
            raise AdmissionError(
                "previously allocated devices are no longer healthy; "
                f"cannot allocate unhealthy devices {resource}"
            )

    async def _allocate(self, pod: Pod, container: Container, resource: str, ids: set[str]) -> None:
        endpoint = self._tables.endpoints.get(resource)
        if endpoint is None:
            self._tables.recompute_in_use()
            raise AdmissionError(f"unknown Device Plugin {resource}")
        self._journal.note("allocate", resource, ",".join(sorted(ids)), count=len(ids))
        try:
            reply = await endpoint.allocate(ids)
        except CallError as error:
            self._tables.recompute_in_use()
            raise AdmissionError(str(error)) from error
        if not reply.container_responses:
            # R42: the ids stay reserved until the next recomputation.
            raise AdmissionError(f"no containers return in allocation response {reply}")
        numa = self._numa(resource, ids)
        response = reply.container_responses[0]
        self._tables.allocations.append(
            Allocation(pod.uid, container.name, resource, frozenset(ids), numa, response)
        )

    def _numa(self, resource: str, ids: set[str]) -> dict[str, tuple[int, ...]]:
        table = self._tables.devices.get(resource, {})
        if missing := sorted(ids - table.keys()):
            self._journal.violate(
                "R33", f"Allocate's reply would panic: {resource} no longer lists {missing}"
            )
        return {i: numa_of(table[i]) if i in table else () for i in ids}
