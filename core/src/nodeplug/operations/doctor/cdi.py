"""Specifications for the container runtime."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from nodeplug.backend import Finding
from nodeplug.cdi.spec import kind_of
from nodeplug.config.document import read_document
from nodeplug.holdings import physical_id
from nodeplug.kubelet.stock import take_stock
from nodeplug.operations.doctor.patient import Patient, problem, warning
from nodeplug.values.errors import ConfigError, PodResourcesError

_STATIC_DIR = "/etc/cdi"
_NAMED_LIMIT = 4


def specification_directory(patient: Patient) -> Iterator[Finding]:
    """Look whether specifications can be written, where anything is injected through CDI."""
    if all(rule.inject == "devices" for rule in patient.agent.offers):
        return
    folder = Path(patient.agent.cdi.spec_dir)
    if trouble := unwritable(folder):
        remedy = "mount it read-write, or set cdi.specDir"
        yield problem(str(folder), trouble, remedy, "offers[].inject asks for CDI")


def specifications(patient: Patient) -> Iterator[Finding]:
    """Look for files that the container runtime cannot use."""
    folders = {Path(patient.agent.cdi.spec_dir), patient.root.find(_STATIC_DIR)}
    for folder in sorted(folders):
        # A name in both directories is no conflict: each has a rank of its own.
        owners: dict[str, list[str]] = {}
        for file in _files(folder):
            try:
                names = list(_names(read_document(file)))
            except ConfigError as error:
                yield warning(str(file), str(error), "remove or correct it", "no runtime reads it")
                continue
            for name in names:
                owners.setdefault(name, []).append(file.name)
        yield from _duplicates(folder, owners)


async def stale_specifications(patient: Patient) -> list[Finding]:
    """Look for files of these backends that nothing needs any more."""
    try:
        held = (await take_stock(patient.pod_resources)).held
    except PodResourcesError:
        return []  # what is in use is not known
    in_use: dict[str, set[str]] = {}
    for each in held:
        in_use.setdefault(kind_of(each.resource), set()).add(physical_id(each.device))
    return list(_stale(patient, in_use))


def unwritable(folder: Path) -> str:
    """Return why nothing could be written to a folder, made if need be; empty if it could."""
    nearest = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not nearest.is_dir():
        return f"{nearest} is no directory"
    return "" if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} cannot be written"


def _stale(patient: Patient, in_use: Mapping[str, Collection[str]]) -> Iterator[Finding]:
    offered = {
        kind_of(name): {each.device.id for each in offer.devices}
        for name, (_, offer) in patient.offers().items()
        if offer.inject != "devices"
    }
    for name in patient.found:
        for file in _files(Path(patient.agent.cdi.spec_dir), f"nodeplug-{name}-*"):
            if name != _backend_of(file, name):
                continue
            gone = [each for each in _names_in(file) if not _needed(each, offered, in_use)]
            if gone:
                finding = f"describes what is no longer offered: {', '.join(gone[:_NAMED_LIMIT])}"
                rule = "an agent that runs removes what neither is offered nor in use"
                yield warning(str(file), finding, "start the agent, or remove the file", rule)


def _needed(qualified: str, *known: Mapping[str, Collection[str]]) -> bool:
    kind, _, device = qualified.partition("=")
    return any(device in each.get(kind, ()) for each in known)


def _duplicates(folder: Path, owners: Mapping[str, list[str]]) -> Iterator[Finding]:
    for name, files in owners.items():
        if len(files) > 1:
            yield problem(
                name,
                f"is described twice in {folder}: {', '.join(files)}",
                "remove one of the files",
                "container runtimes inject no device that has two descriptions",
            )


def _backend_of(file: Path, otherwise: str) -> str:
    """Return whose file it is by its name: that of another backend may begin alike."""
    backend, kind, _ = file.name.removeprefix("nodeplug-").partition("-nodeplug.")
    return backend if kind else otherwise


def _files(folder: Path, pattern: str = "*") -> list[Path]:
    return sorted(file for file in folder.glob(pattern) if file.suffix in {".json", ".yaml"})


def _names_in(file: Path) -> list[str]:
    try:
        return list(_names(read_document(file)))
    except ConfigError:
        return []  # told by another check


def _names(document: Any) -> Iterator[str]:
    if isinstance(document, dict) and isinstance(document.get("devices"), list):
        for device in document["devices"]:
            if isinstance(device, dict):
                yield f"{document.get('kind')}={device.get('name')}"
