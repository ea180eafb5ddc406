"""Which driver there is to speak to."""

from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.driver import Driver
from nodeplug_nvidia_gpu.fixed import DXG, TEGRA, WSL, FixedDriver, is_tegra
from nodeplug_nvidia_gpu.library import Library
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings


def driver_for(settings: NvidiaGpuSettings, root: HostRoot) -> Driver:
    """Return the driver that the settings ask for, or that the host has."""
    if settings.simulation:
        from nodeplug_nvidia_gpu.simulated import SimulatedDriver  # noqa: PLC0415 - for demos

        return SimulatedDriver(root.path(settings.simulation))
    if settings.discovery == "auto" and root.path(DXG).exists():
        return FixedDriver(WSL, root)
    if settings.discovery == "tegra" or (
        settings.discovery == "auto" and is_tegra(root) and not Library(root, settings).find()
    ):
        return FixedDriver(TEGRA, root)
    from nodeplug_nvidia_gpu.nvml_driver import NvmlDriver  # noqa: PLC0415 - not for the others

    return NvmlDriver(root, settings)
