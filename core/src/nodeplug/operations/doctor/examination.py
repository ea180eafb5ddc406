"""All checks at once, each with a time limit of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial

import msgspec

from nodeplug.backend import Finding
from nodeplug.host.calls import call
from nodeplug.operations.doctor import (
    backends,
    cdi,
    directory,
    features,
    instances,
    ledger,
    machine,
    ports,
    rights,
    rivals,
    settings,
    sockets,
    versions,
)
from nodeplug.operations.doctor.patient import Patient, problem, warning

SECONDS = 10.0

_Started = Callable[[], Awaitable[Iterable[Finding]]]

# These block, and run on threads of their own.
_CHECKS: Sequence[Callable[[Patient], Iterable[Finding]]] = (
    directory.plugin_directory,
    directory.permissions,
    directory.checkpoint,
    instances.instances,
    ledger.ledger,
    backends.broken,
    settings.configuration,
    settings.offered,
    settings.cluster,
    cdi.specification_directory,
    cdi.specifications,
    features.feature_directory,
    rights.rights,
    machine.iommu,
    machine.numa,
    machine.watches,
    versions.mixed_versions,
)
# These ask somebody.
_QUESTIONS: Sequence[Callable[[Patient], Awaitable[list[Finding]]]] = (
    instances.troubles,
    sockets.registration,
    sockets.pod_resources,
    rivals.rivals,
    cdi.stale_specifications,
    ports.metrics_port,
)


async def examine(patient: Patient, seconds: float = SECONDS) -> list[Finding]:
    """Return all that is wrong, the worst first; a check that hangs costs `seconds`, once."""
    found, failures = await backends.discover_all(patient, seconds)
    patient = msgspec.structs.replace(patient, found=found)
    limited = [_limited(name, check, seconds) for name, check in _all(patient, seconds)]
    results = await asyncio.gather(*limited)
    findings = [*failures, *(finding for result in results for finding in result)]
    told = {finding.subject for finding in findings}
    more = (
        *backends.sick_devices(found),
        *backends.left_out(found),
        *backends.out_of_service(found, patient.agent.quarantine),
    )
    findings += [each for each in more if each.subject not in told]
    worst_last = sorted(findings, key=lambda each: (each.severity, each.subject), reverse=True)
    once = {(each.subject, each.finding): each for each in worst_last}
    return sorted(once.values(), key=lambda each: (each.severity, each.subject))


def _all(patient: Patient, seconds: float) -> Iterator[tuple[str, _Started]]:
    for check in _CHECKS:
        yield check.__name__, partial(call, _listed, partial(check, patient), timeout=seconds)
    for question in _QUESTIONS:
        yield question.__name__, partial(question, patient)
    for spec in patient.specs.values():
        probe = partial(backends.presence, spec, patient)
        yield f"probe of backend {spec.name}", partial(call, _listed, probe, timeout=seconds)
    for spec, own in patient.settings():
        checks = partial(backends.own_checks, spec, own, patient)
        yield f"checks of backend {spec.name}", partial(call, _listed, checks, timeout=seconds)


async def _limited(name: str, check: _Started, seconds: float) -> Iterable[Finding]:
    try:
        async with asyncio.timeout(seconds):
            return await check()
    except TimeoutError:
        remedy = "a driver or a file system hangs; see the kernel's log"
        return [problem(name, f"does not end within {seconds:g} s", remedy)]
    except Exception as error:  # noqa: BLE001 - one check never takes down the others
        return [warning(name, f"fails: {error!r}", "report this; nothing is known of its subject")]


def _listed(check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    return list(check())
