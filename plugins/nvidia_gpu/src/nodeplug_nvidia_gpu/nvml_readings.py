"""What can be measured of GPUs through NVML."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nodeplug_nvidia_gpu.driver import DriverError
from nodeplug_nvidia_gpu.facts import Gpu, Readings
from nodeplug_nvidia_gpu.nvml import Nvml
from nodeplug_nvidia_gpu.nvml_facts import slice_handles

# NVML: NVML_TEMPERATURE_GPU, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC.
_OF_GPU: Final = 0
_UNCORRECTED: Final = 1
_VOLATILE: Final = 0
_MILLI: Final = 1000


def read_readings(nvml: Nvml, gpu: Gpu) -> Mapping[str, Readings]:
    """Return readings of a GPU and its slices by UUID; raise DriverError where it is lost."""
    handle = nvml.ask("nvmlDeviceGetHandleByIndex", gpu.index)
    found = {gpu.uuid: _readings(nvml, handle)}
    for uuid, part in _slices(nvml, handle) if gpu.slices else ():
        used, size = _memory(nvml, part)
        found[uuid] = Readings(memory_used=used, memory_size=size)
    return found


def _slices(nvml: Nvml, gpu: Any) -> Iterator[tuple[str, Any]]:
    try:
        yield from ((uuid, handle) for uuid, (_, handle) in slice_handles(nvml, gpu).items())
    except DriverError as error:
        if error.of_gone:
            raise


def _readings(nvml: Nvml, handle: Any) -> Readings:
    used, size = _memory(nvml, handle)
    power = nvml.optional(None, "nvmlDeviceGetPowerUsage", handle)
    load = nvml.optional(None, "nvmlDeviceGetUtilizationRates", handle)
    errors = ("nvmlDeviceGetTotalEccErrors", handle, _UNCORRECTED, _VOLATILE)
    return Readings(
        temperature=nvml.optional(None, "nvmlDeviceGetTemperature", handle, _OF_GPU),
        power=None if power is None else power / _MILLI,
        memory_used=used,
        memory_size=size,
        utilization=load.gpu / 100 if load else None,
        errors=nvml.optional(None, *errors),
    )


def _memory(nvml: Nvml, handle: Any) -> tuple[float | None, float | None]:
    found = nvml.optional(None, "nvmlDeviceGetMemoryInfo", handle)
    return (float(found.used), float(found.total)) if found else (None, None)
