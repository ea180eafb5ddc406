"""Admitting pods: which devices a container gets, and what the plugin answers."""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from nodeplug.testing.kubelet.checkpoint import Checkpoint
from nodeplug.testing.kubelet.choosing import Choice, Chooser
from nodeplug.testing.kubelet.clients import Profile
from nodeplug.testing.kubelet.devices import Allocation, DeviceTables
from nodeplug.testing.kubelet.endpoint import CallError
from nodeplug.testing.kubelet.errors import AdmissionError, AffinityError
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.known_pods import KnownPods
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


@dataclass(slots=True)
class Admission:
    """The device manager's side of pod admission.

    `running` names the containers that the kubelet found running when it started, by pod's uid
    and name. Until it is ready they are spared all checks (R44).
    """

    _tables: DeviceTables
    _pods: KnownPods
    _checkpoint: Checkpoint
    _journal: Journal
    _topology: Topology
    _order: Order
    _running: AbstractSet[tuple[str, str]]
    _profile: Profile

    async def admit(self, pod: Pod) -> None:
        """Allocate for every container in order (R41); raise AdmissionError.

        What was allocated before the failure stays until the pod is dropped.
        """
        for container in pod.in_order:
            if self._topology.policy != "none":
                self._pods.free(self._tables)
            affinity = self._affinity(pod, container)
            self._tables.affinities[pod.uid, container.name] = affinity
            await self.provide(pod, container)

    async def provide(self, pod: Pod, container: Container) -> None:
        """Allocate for one container what it does not have yet; raise AdmissionError.

        Resources that are no plugin's are left alone. The devices of other pods that have ended
        are freed first, and what is new is written down last (R47, R66).
        """
        spared = not self._pods.ready and (pod.uid, container.name) in self._running
        freed = news = False
        for resource in self._order.of(container.limits):
            if not self._tables.manages(resource):
                continue
            if not freed:
                self._pods.free(self._tables)
                freed = True
            self._check_count(pod, container, resource)
            news |= not spared and await self._provide(pod, container, resource)
        if news:
            self._save()
        self._pass_on(pod, container)

    def _save(self) -> None:
        if problem := self._checkpoint.write(self._tables):
            raise AdmissionError(problem)

    async def _provide(self, pod: Pod, container: Container, resource: str) -> bool:
        have = self._tables.find(pod.uid, container.name, resource)
        self._check_health(resource, have)
        count = container.limits[resource]
        if have is not None or not count:
            return False
        in_use = self._tables.in_use.setdefault(resource, set())
        choice = Choice(resource, count, in_use, self._order)
        reusable = self._tables.reusable(pod.uid).get(resource, set())
        affinity = self._tables.affinities.get((pod.uid, container.name))
        chooser = Chooser(self._tables, self._journal)
        await chooser.choose(choice, reusable, affinity)
        await self._allocate(pod, container, resource, choice.ids)
        return True

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
        narrowed = self._profile.since(Profile.V1_36)
        for resource, count in container.limits.items():
            if not self._tables.manages(resource):
                continue
            table = self._tables.devices.get(resource, {})
            have = self._tables.find(pod.uid, container.name, resource)
            if have is not None:
                self._check_hints(resource, have)
                demands.append(Demand(table, have.ids, frozenset(), count, narrowed))
                continue
            free = self._tables.healthy.get(resource, set()) - self._tables.in_use.get(
                resource, set()
            )
            demands.append(Demand(table, free, reusable.get(resource, set()), count, narrowed))
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
