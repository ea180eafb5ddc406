"""How long a list may be."""

from nodeplug.values.device import Device

# What an inventory may take of the kubelet's 4 MiB (R22): the rest is room for devices that fall
# sick ("Unhealthy" is two bytes longer) and for ids that stay listed after they vanished.
LIST_LIMIT = 3_670_016

# Tags and lengths of an entry, of its id, and "Healthy" with its own.
_ENTRY = 13
_TOPOLOGY, _NUMA_NODE = 2, 4
# An id of 63 characters (R23), and a few NUMA nodes.
LONGEST = 90
# What divides the ids of replicas from their numbers.
_DIVIDER = 2


def listed_size(device: Device, replicas: int) -> int:
    """Return how many bytes a device takes in a list."""
    topology = _TOPOLOGY + sum(_NUMA_NODE if node else 2 for node in device.numa_nodes)
    one = _ENTRY + len(device.id) + (topology if device.numa_nodes else 0)
    if replicas == 1:
        return one
    digits = sum(max(0, replicas - shorter) for shorter in (0, 10, 100, 1000, 10_000, 100_000))
    return replicas * (one + _DIVIDER) + digits
