"""Readings as measurements."""

from collections.abc import Iterator, Mapping
from typing import Final

from nodeplug.backend import Measurement, Quantity
from nodeplug_nvidia_gpu.facts import Readings
from nodeplug_nvidia_gpu.naming import device_id

_QUANTITIES: Final[Mapping[str, Quantity]] = {
    "temperature": "temperature_celsius",
    "power": "power_watts",
    "memory_used": "memory_used_bytes",
    "memory_size": "memory_size_bytes",
    "utilization": "utilization_ratio",
    "errors": "errors_total",
}


def measurements(readings: Mapping[str, Readings]) -> Iterator[Measurement]:
    """Yield each reading that there is."""
    for uuid, found in readings.items():
        for name, quantity in _QUANTITIES.items():
            value = getattr(found, name)
            if value is not None:
                yield Measurement(device_id(uuid), quantity, float(value))
