"""Families with a series for each device: only where the operator asks for them."""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from nodeplug.backend import Measurement, Quantity, Telemetry
from nodeplug.kubelet.pod_resources import assignments, list_pods
from nodeplug.meters.catalogue import TELEMETRY_FAILURES
from nodeplug.meters.family import Family, Kind, Sample
from nodeplug.supervisor.report import AgentReport, BackendReport
from nodeplug.values.device import Health

_MEASURE_SECONDS = 1.0
_HELP: dict[str, str] = {
    "temperature_celsius": "Temperature of the device.",
    "power_watts": "Power that the device draws.",
    "memory_used_bytes": "Memory of the device in use.",
    "memory_size_bytes": "Memory that the device has.",
    "utilization_ratio": "Part of the time that the device was busy, 0 to 1.",
    "link_up": "Whether the device's link is up.",
    "link_speed_bytes_per_second": "Speed of the device's link.",
    "errors_total": "Errors that the device has counted.",
}

_log = logging.getLogger("nodeplug.metrics")


def health(report: AgentReport) -> Iterator[Family]:
    """Yield the health of each device as the kubelet was told of it, and which are merely held."""
    listed = [
        ((("resource", each.pool.resource), ("device", device.id)), device)
        for each in report.resources
        for device in each.pool.snapshot.devices
    ]
    healthy = [Sample("", labels, device.health is Health.HEALTHY) for labels, device in listed]
    yield Family("nodeplug_device_healthy", "gauge", "Whether the device is healthy.", healthy)
    held = [Sample("", labels, 1) for labels, device in listed if device.held]
    about = "A device that is well, and not offered because of what containers have."
    yield Family("nodeplug_device_held", "gauge", about, held)


async def in_use(report: AgentReport, socket: Path) -> Family:
    """Return which container has which device; nothing while the kubelet does not answer."""
    ours = {each.pool.resource for each in report.resources}
    reply = await list_pods(socket)
    listed = () if reply is None else assignments(reply)
    found = {each[:5]: each for each in listed if each.resource in ours}.values()
    samples = [
        Sample(
            "",
            (
                ("resource", each.resource),
                ("device", each.device),
                ("namespace", each.namespace),
                ("pod", each.pod),
                ("container", each.container),
            ),
            1,
        )
        for each in found
    ]
    about = "A container that has the device."
    return Family("nodeplug_device_in_use", "gauge", about, samples)


async def telemetry(backends: Sequence[BackendReport]) -> list[Family]:
    """Return what the backends measure now; one that fails or is slow is left out."""
    measured = await asyncio.gather(*map(_measured, backends))
    found: dict[str, list[Sample]] = {name: [] for name in get_args(Quantity)}
    for backend, measurements in zip(backends, measured, strict=True):
        for each in measurements:
            labels = (("backend", backend.name), ("device", each.device))
            suffix = "_total" if each.quantity.endswith("_total") else ""
            found[each.quantity].append(Sample(suffix, labels, each.value))
    return list(_families(found))


def _families(found: dict[str, list[Sample]]) -> Iterator[Family]:
    for quantity, samples in found.items():
        kind: Kind = "counter" if quantity.endswith("_total") else "gauge"
        name = f"nodeplug_device_{quantity.removesuffix('_total')}"
        if samples:
            yield Family(name, kind, _HELP[quantity], samples)


async def _measured(backend: BackendReport) -> Sequence[Measurement]:
    current: object = backend.current
    if not isinstance(current, Telemetry):
        return ()
    try:
        async with asyncio.timeout(_MEASURE_SECONDS):
            return await current.measure()
    except Exception as error:  # noqa: BLE001 - whatever a backend raises
        TELEMETRY_FAILURES.add(backend.name)
        facts = {"backend": backend.name, "error": repr(error)}
        _log.debug("devices not measured", extra={"nodeplug": facts})
        return ()
