"""What the operator has written, and what the process is told of its node."""

import os
from collections.abc import Iterator

from nodeplug.backend import Finding
from nodeplug.config.settings import ClusterSettings
from nodeplug.operations.doctor.patient import Patient, problem, warning

_SERVER = "KUBERNETES_SERVICE_HOST"


def configuration(patient: Patient) -> Iterator[Finding]:
    """Name what is wrong with the configuration, section by section."""
    for error in patient.configuration.errors:
        rule = "until then the section that worked last holds, or what is right of this one"
        yield problem("configuration", str(error), "correct it", rule)
    for line in patient.configuration.ignored:
        yield warning("configuration", f"has no meaning here: {line}", "take it out")


def offered(patient: Patient) -> Iterator[Finding]:
    """Name rules for resources that no backend has; a backend that failed might have them."""
    if patient.found.keys() != patient.specs.keys() or patient.broken:
        return
    known = {name for inventory in patient.found.values() for name in inventory.resources}
    for number, rule in enumerate(patient.agent.offers):
        if not any(map(rule.means, known)):
            finding = f"no backend has a resource {rule.resource}"
            remedy = f"take the name from: {', '.join(sorted(known)) or 'nothing is found'}"
            yield warning(f"offers[{number}]", finding, remedy, "the rule has no effect")


def cluster(patient: Patient) -> Iterator[Finding]:
    """Look for what calls of the API server need, where they are switched on."""
    if patient.agent.cluster == ClusterSettings():
        return
    rule = "cluster.* is switched on"
    if not patient.node_name:
        remedy = "set it from the field spec.nodeName of the pod"
        yield problem("NODE_NAME", "is not in the environment", remedy, rule)
    if not (patient.account / "token").is_file():
        remedy = "give the pod a service account, automountServiceAccountToken: true"
        yield problem(str(patient.account), "holds no token", remedy, rule)
    if not os.environ.get(_SERVER):
        remedy = "run the agent in a pod, or set address and port of the API server"
        yield problem(_SERVER, "is not in the environment", remedy, rule)
