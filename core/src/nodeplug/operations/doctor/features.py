"""The directory for labels of the node."""

from collections.abc import Iterator

from nodeplug.backend import Finding
from nodeplug.operations.doctor.cdi import unwritable
from nodeplug.operations.doctor.patient import Patient, problem, warning


def feature_directory(patient: Patient) -> Iterator[Finding]:
    """Look whether labels can be handed to Node Feature Discovery, if that is wanted."""
    settings = patient.agent.labels
    if not settings.enabled:
        return
    folder = patient.root.find(settings.feature_dir)
    rule = "labels.enabled is true"
    if trouble := unwritable(folder):
        remedy = "mount it read-write, or set labels.featureDir"
        yield problem(str(folder), trouble, remedy, rule)
    elif not folder.is_dir():
        remedy = "install Node Feature Discovery, with its local source switched on"
        yield warning(str(folder), "is not there: nobody reads the labels", remedy, rule)
