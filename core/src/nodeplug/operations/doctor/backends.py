"""Backends: their drivers and libraries, what they find, their own checks."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from nodeplug.backend import BackendSpec, Finding
from nodeplug.host.calls import call
from nodeplug.operations.discovery import discover
from nodeplug.operations.doctor.patient import Patient, problem, warning
from nodeplug.quarantine import QuarantineRule, quarantined
from nodeplug.values.inventory import Inventory

_NAMED_LIMIT = 4


def broken(patient: Patient) -> Iterator[Finding]:
    """Name backends that cannot be loaded."""
    for error in patient.broken:
        yield problem("backend", str(error), "install what is missing, in one matching version")


def presence(spec: BackendSpec, patient: Patient) -> Iterator[Finding]:
    """Ask a backend whether its hardware or library is there."""
    found = spec.probe(patient.root)
    if not found.present:
        remedy = "install the driver, or keep the agent off nodes without such hardware"
        yield warning(f"backend {spec.name}", f"sees no hardware: {found.detail}", remedy)


def own_checks(spec: BackendSpec, settings: Any, patient: Patient) -> Sequence[Finding]:
    """Return what a backend finds wrong itself."""
    return spec.checks(settings, patient.root) if spec.checks else ()


async def discover_all(
    patient: Patient, seconds: float
) -> tuple[dict[str, Inventory], list[Finding]]:
    """Return the inventories of the backends that have one, and what became of the others."""
    tried = list(patient.settings())
    results = await asyncio.gather(
        *(_tried(*each, patient.agent.host.root, seconds) for each in tried)
    )
    found = {
        spec.name: result
        for (spec, _), result in zip(tried, results, strict=True)
        if isinstance(result, Inventory)
    }
    return found, [result for result in results if isinstance(result, Finding)]


async def _tried(
    spec: BackendSpec, settings: Any, root: str, seconds: float
) -> Inventory | Finding:
    # On a loop of its own: a backend that blocks must not hold up the other checks.
    asked = partial(asyncio.run, discover(spec, settings, root, seconds))
    failed = partial(problem, f"backend {spec.name}")
    try:
        return await call(asked, timeout=seconds)
    except TimeoutError:
        return failed(f"finds nothing within {seconds:g} s", "look into the driver's log")
    except Exception as error:  # noqa: BLE001 - whatever a backend raises
        return failed(f"fails: {error!r}", "its README tells what it needs; see the agent's log")


def left_out(found: Mapping[str, Inventory]) -> Iterator[Finding]:
    """Name what backends cannot make devices of."""
    for name, inventory in found.items():
        for subject, reason in inventory.left_out.items():
            remedy = "see what its driver and firmware say; `nodeplug devices --explain` tells more"
            yield warning(subject, f"is not served by {name}: {reason}", remedy)


def out_of_service(
    found: Mapping[str, Inventory], rules: Sequence[QuarantineRule]
) -> Iterator[Finding]:
    """Name the devices that the operator has taken out of service, those of a reason at once."""
    named: dict[str, list[str]] = {}
    for inventory in found.values():
        for device_id, reason in quarantined(inventory, rules).items():
            named.setdefault(reason, []).append(device_id)
    for reason, ids in named.items():
        remedy = "take the rule out of quarantine once they may be given again"
        yield warning(_named(ids), reason, remedy, "no pod is given a device that is quarantined")


def _named(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED_LIMIT} more" if len(ids) > _NAMED_LIMIT else ""
    return ", ".join(ids[:_NAMED_LIMIT]) + more


def sick_devices(found: Mapping[str, Inventory]) -> Iterator[Finding]:
    """Name unhealthy devices, those with the same reason at once."""
    sick: dict[tuple[str, str], list[str]] = {}
    for name, inventory in found.items():
        for device in inventory.devices.values():
            if not device.healthy:
                sick.setdefault((name, device.reason), []).append(device.id)
    for (name, reason), ids in sick.items():
        remedy = f"see the README of the backend {name}; `nodeplug allocations` names its pods"
        yield problem(
            _named(ids), f"unhealthy: {reason}", remedy, "no pod is given an unhealthy device"
        )
