"""The health of a pod's devices in its status (R69, R70)."""

from collections.abc import Iterable, Mapping

from nodeplug.testing.kubelet.devices import Allocation, DeviceTables
from nodeplug.testing.kubelet.order import Order
from nodeplug.testing.kubelet.pods import Pod

# By container, resource and id.
PodHealth = dict[str, dict[str, dict[str, str]]]


def health_of(pod: Pod, tables: DeviceTables) -> PodHealth:
    """Return "Healthy" or "Unhealthy" for every device of the pod's app containers."""
    return {
        container.name: {
            allocation.resource: _healths(allocation, tables)
            for allocation in tables.of_container(pod.uid, container.name)
        }
        for container in pod.containers
        if not container.init
    }


def pods_to_sync(tables: DeviceTables, pods: Mapping[str, Pod], order: Order) -> list[Pod]:
    """Return the pods whose status the latest lists may have changed, and forget those lists."""
    news, tables.news = tables.news, set()
    held = {i for allocation in tables.allocations for i in allocation.ids}
    # R23: an id is looked for under all resources, and the first pod that has it is the one.
    found = {_holder(device_id, order.of(tables.allocations)) for device_id in news & held}
    return [pods[uid] for uid in sorted(found) if uid in pods]


def _holder(device_id: str, allocations: Iterable[Allocation]) -> str:
    return next(each.pod for each in allocations if device_id in each.ids)


def _healths(allocation: Allocation, tables: DeviceTables) -> dict[str, str]:
    # R70: what is not listed, or not yet, is taken for healthy.
    listed = tables.devices.get(allocation.resource, {})
    sick = {i for i in allocation.ids if i in listed and listed[i].health != "Healthy"}
    return {i: "Unhealthy" if i in sick else "Healthy" for i in sorted(allocation.ids)}
