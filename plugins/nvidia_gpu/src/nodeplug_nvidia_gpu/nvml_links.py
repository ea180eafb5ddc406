"""Where the NVLinks of a GPU end."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from nodeplug_nvidia_gpu.facts import SWITCHES, Ends, Gpu
from nodeplug_nvidia_gpu.nvml import Nvml
from nodeplug_nvidia_gpu.nvml_facts import pci_address

# NVML: NVML_NVLINK_MAX_LINKS, of the newest GPUs; others refuse the higher numbers.
_MAX_LINKS: Final = 36
# NVML: NVML_NVLINK_DEVICE_TYPE_SWITCH.
_SWITCH: Final = 2


def read_ends(nvml: Nvml, gpu: Gpu) -> Ends:
    """Return how many active links of a GPU end where; raise DriverError where it is lost."""
    return Counter(_ends(nvml, nvml.ask("nvmlDeviceGetHandleByIndex", gpu.index)))


def _ends(nvml: Nvml, handle: Any) -> Iterator[str]:
    for link in range(_MAX_LINKS):
        if nvml.try_(0, "nvmlDeviceGetNvLinkState", handle, link):
            kind = nvml.try_(None, "nvmlDeviceGetNvLinkRemoteDeviceType", handle, link)
            if kind == _SWITCH:
                yield SWITCHES
            elif info := nvml.try_(None, "nvmlDeviceGetNvLinkRemotePciInfo", handle, link):
                yield pci_address(info)
