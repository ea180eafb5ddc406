"""Which GPUs are linked by NVLink, directly or through switches."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Final

from nodeplug_nvidia_gpu.driver import DriverError
from nodeplug_nvidia_gpu.facts import Gpu, Links
from nodeplug_nvidia_gpu.nvml import Nvml
from nodeplug_nvidia_gpu.nvml_facts import pci_address

# NVML: NVML_NVLINK_MAX_LINKS, of the newest GPUs; others refuse the higher numbers.
_MAX_LINKS: Final = 36
# NVML: NVML_NVLINK_DEVICE_TYPE_SWITCH.
_SWITCH: Final = 2
_SWITCHED: Final = "switch"


def read_links(nvml: Nvml, gpus: Sequence[Gpu]) -> Links:
    """Return how many links lie between pairs of GPUs.

    All GPUs at switches are one fabric, unless they belong to different cliques of it: of two,
    the one with fewer links counts.
    """
    ends = {gpu.uuid: Counter(_far_ends(nvml, gpu)) for gpu in gpus}
    found = {}
    for a, b in combinations(gpus, 2):
        count = ends[a.uuid][b.address] or ends[b.uuid][a.address]
        if a.clique == b.clique:
            count = count or min(ends[a.uuid][_SWITCHED], ends[b.uuid][_SWITCHED])
        if count:
            found[(a.uuid, b.uuid)] = count
    return found


def _far_ends(nvml: Nvml, gpu: Gpu) -> Iterator[str]:
    """Yield for each active link the PCI address of its other end, or that it is a switch."""
    try:
        handle = nvml.ask("nvmlDeviceGetHandleByIndex", gpu.index)
        for link in range(_MAX_LINKS):
            if nvml.try_(0, "nvmlDeviceGetNvLinkState", handle, link):
                yield _far_end(nvml, handle, link)
    except DriverError:  # a GPU that is lost is in no fabric
        return


def _far_end(nvml: Nvml, handle: object, link: int) -> str:
    kind = nvml.try_(None, "nvmlDeviceGetNvLinkRemoteDeviceType", handle, link)
    if kind == _SWITCH:
        return _SWITCHED
    info = nvml.try_(None, "nvmlDeviceGetNvLinkRemotePciInfo", handle, link)
    return pci_address(info) if info else ""
