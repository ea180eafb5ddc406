"""Which devices a container gets: the kubelet's own choice, and the plugin's say in it."""

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api
from nodeplug.testing.kubelet.devices import DeviceTables
from nodeplug.testing.kubelet.endpoint import CallError
from nodeplug.testing.kubelet.errors import AdmissionError
from nodeplug.testing.kubelet.journal import Journal
from nodeplug.testing.kubelet.order import Order
from nodeplug.testing.kubelet.topology import Mask, split_by_affinity


@dataclass(slots=True)
class Choice:
    """The ids chosen so far for one container and resource; each is in use from then on."""

    resource: str
    count: int
    in_use: set[str]
    order: Order
    ids: set[str] = field(default_factory=set)

    def take(self, candidates: Collection[str]) -> bool:
        """Take of these as many as are still needed; return whether that is enough."""
        for device_id in self.order.of(sorted(candidates)):
            if len(self.ids) < self.count:
                self.ids.add(device_id)
                self.in_use.add(device_id)
        return len(self.ids) == self.count


class Chooser:
    """Chooses from the tables, with what a plugin prefers (R49, R50)."""

    def __init__(self, tables: DeviceTables, journal: Journal) -> None:
        self._tables = tables
        self._journal = journal

    async def choose(
        self, choice: Choice, reusable: AbstractSet[str], affinity: Mask | None
    ) -> None:
        """Choose as many ids as are wanted, first of those reusable; raise AdmissionError."""
        if choice.take(reusable):
            return
        available = self._tables.healthy[choice.resource] - choice.in_use
        needed = choice.count - len(choice.ids)
        if len(available) < needed:
            raise AdmissionError(
                f"requested number of devices unavailable for {choice.resource}. "
                f"Requested: {needed}, Available: {len(available)}"
            )
        await self._fill(choice, available, affinity)

    async def _fill(self, choice: Choice, available: set[str], affinity: Mask | None) -> None:
        table = self._tables.devices[choice.resource]
        groups = split_by_affinity(table, available, affinity)
        aligned = groups[0]
        if choice.count - len(choice.ids) < len(aligned):
            preferred = await self._preferred(choice, aligned | choice.ids)
            if choice.take(preferred & aligned) or choice.take(aligned):
                return
        if choice.take(aligned):
            return
        preferred = await self._preferred(choice, available | choice.ids)
        if choice.take(preferred & available):
            return
        for group in groups:
            choice.take(group)

    async def _preferred(self, choice: Choice, available: AbstractSet[str]) -> set[str]:
        endpoint = self._tables.endpoints[choice.resource]
        if not endpoint.options.get_preferred_allocation_available:
            return set()
        request = api.ContainerPreferredAllocationRequest(
            available_deviceIDs=available,
            must_include_deviceIDs=choice.ids,
            allocation_size=choice.count,
        )
        self._journal.note("preferred", choice.resource, count=choice.count)
        try:
            reply = await endpoint.prefer(request)
        except CallError as error:
            raise AdmissionError(
                f"device plugin GetPreferredAllocation rpc failed with err: {error}"
            ) from error
        return set(reply.container_responses[0].deviceIDs) if reply.container_responses else set()
