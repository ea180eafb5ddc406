"""The health of a pod's devices in its status (R69, R70)."""

import itertools

from nodeplug.testing.kubelet.clients import Profile
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


def pods_to_sync(tables: DeviceTables, order: Order, profile: Profile) -> list[str]:
    """Return the uids of pods whose status the latest lists may have changed; forget those lists.

    Before 1.36 there are none: the feature is off.
    """
    news, tables.news = tables.news, set()
    if not profile.since(Profile.V1_36):
        return []
    found: set[str] = set()
    for resource, device_id in news:
        # R23: up to 1.36 an id is looked for under all resources; the first pod that has it is
        # the one.
        anywhere = not profile.since(Profile.V1_37)
        holders = (
            each.pod
            for each in order.of(tables.allocations)
            if device_id in each.ids and (anywhere or each.resource == resource)
        )
        found.update(itertools.islice(holders, 1))
    return sorted(found)


def _healths(allocation: Allocation, tables: DeviceTables) -> dict[str, str]:
    # R70: what is not listed, or not yet, is taken for healthy.
    listed = tables.devices.get(allocation.resource, {})
    sick = {i for i in allocation.ids if i in listed and listed[i].health != "Healthy"}
    return {i: "Unhealthy" if i in sick else "Healthy" for i in sorted(allocation.ids)}
