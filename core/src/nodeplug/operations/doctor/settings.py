"""What the operator has written, and what the process is told of its node."""

import os
from collections.abc import Iterator

from nodeplug.backend import Finding
from nodeplug.config.settings import ClusterSettings
from nodeplug.operations.doctor.patient import Patient, problem, warning
from nodeplug.operations.rules import idle, refused

_SERVER = "KUBERNETES_SERVICE_HOST"


def configuration(patient: Patient) -> Iterator[Finding]:
    """Name what is wrong with the configuration, section by section."""
    for error in patient.configuration.errors:
        rule = "until then the section that worked last holds, or what is right of this one"
        yield problem("configuration", str(error), "correct it", rule)
    for line in patient.configuration.ignored:
        yield warning("configuration", f"has no meaning here: {line}", "take it out")
    for line in patient.configuration.undecided:
        remedy = "set it in the agent's environment, as the chart does"
        yield warning("configuration", line, remedy)


def offered(patient: Patient) -> Iterator[Finding]:
    """Name rules that cannot hold, and those that no device matches."""
    for name, refusal in refused(patient.agent, patient.found):
        rule = f"until then the resource of backend {name} has what it had before, or its own name"
        yield problem(refusal.resource, refusal.detail, "change the rule in offers", rule)
    all_known = patient.found.keys() == patient.specs.keys() and not patient.broken
    for each in idle(patient.agent, patient.found, all_known=all_known):
        yield warning(each.place, each.why, each.instead, "the rule has no effect")


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
