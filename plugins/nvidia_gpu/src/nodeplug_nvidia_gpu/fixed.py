"""Hosts whose one GPU no driver library lists: WSL, and Tegra without NVML."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from nodeplug.host.root import HostRoot
from nodeplug.host.sysfs import read_text
from nodeplug_nvidia_gpu.driver import DRIVER_NOT_LOADED, DriverError
from nodeplug_nvidia_gpu.facts import Ends, Event, Gpu, Pulse, Readings, Versions

# Windows: the way of a guest to the host's GPUs, which containers get all at once.
DXG: Final = "/dev/dxg"
WSL: Final = Gpu(index=0, uuid="all", name="WSL", node=DXG)
TEGRA: Final = Gpu(index=0, uuid="tegra", name="Tegra")


class FixedDriver:
    """One GPU, of which nothing is known and nothing heard."""

    def __init__(self, gpu: Gpu, root: HostRoot) -> None:
        self._gpu = gpu
        self._root = root

    def watched(self) -> Mapping[Path, frozenset[str] | None]:
        """Return where the device node appears."""
        return {self._root.dev: frozenset({Path(DXG).name})} if self._gpu.node else {}

    def open(self) -> None:
        """Look whether the device node is there."""
        if self._gpu.node and not self._root.path(self._gpu.node).exists():
            raise DriverError(f"{self._gpu.node} is not there", DRIVER_NOT_LOADED)

    def close(self) -> None:
        """Do nothing."""

    def outdated(self) -> bool:
        """Return whether the device node has gone."""
        return bool(self._gpu.node) and not self._root.path(self._gpu.node).exists()

    def versions(self) -> Versions:
        """Return that nothing is known."""
        return Versions()

    def count(self) -> int:
        """Return 1."""
        return 1

    def pulse(self, index: int) -> Pulse:  # noqa: ARG002 - there is one GPU
        """Return that nothing is wrong."""
        return Pulse(uuid=self._gpu.uuid)

    def gpu(self, index: int) -> Gpu:  # noqa: ARG002 - there is one GPU
        """Return the one GPU."""
        return self._gpu

    def ends(self, gpu: Gpu) -> Ends:  # noqa: ARG002 - there is one GPU
        """Return that there are no links."""
        return {}

    def unheard(self, gpus: Sequence[Gpu]) -> Sequence[Gpu]:  # noqa: ARG002 - there is one GPU
        """Return none: there are no events."""
        return ()

    def listen(self, gpu: Gpu) -> None:
        """Do nothing: there are no events."""

    def event(self, timeout: float) -> Event | None:
        """Wait in vain."""
        time.sleep(timeout)
        return None

    def measure(self, gpu: Gpu) -> Mapping[str, Readings]:  # noqa: ARG002 - see above
        """Return that nothing can be measured."""
        return {}


def is_tegra(root: HostRoot) -> bool:
    """Whether the host is a Tegra, as NVIDIA's container toolkit finds out."""
    family = read_text(root.sys / "devices/soc0/family") or ""
    return family.lower() == "tegra" or root.find("/etc/nv_tegra_release").exists()
