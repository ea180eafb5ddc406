"""Which driver there is to speak to."""

from nodeplug.host.root import HostRoot
from nodeplug_nvidia_gpu.driver import Driver
from nodeplug_nvidia_gpu.settings import NvidiaGpuSettings


def driver_for(settings: NvidiaGpuSettings, root: HostRoot) -> Driver:
    """Return the true driver, or the simulated one where the settings ask for it."""
    if settings.simulation:
        from nodeplug_nvidia_gpu.simulated import SimulatedDriver  # noqa: PLC0415 - for demos

        return SimulatedDriver(root.path(settings.simulation))
    from nodeplug_nvidia_gpu.nvml_driver import NvmlDriver  # noqa: PLC0415 - not for demos

    return NvmlDriver(root, settings)
