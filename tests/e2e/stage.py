"""The cluster as the tests use it: one release on one node."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from e2e import objects
from e2e.cluster import Cluster
from e2e.parameters import Parameters
from e2e.watch import Object

RELEASE = "e2e"
AGENT = f"{RELEASE}-custom"
AGENTS = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=agent"
STANDARD = objects.configuration()


class Stage(NamedTuple):
    """The cluster, and what the tests run on it."""

    cluster: Cluster
    given: Parameters
    node: str
    host: str
    chart: Path

    def install(
        self,
        config: Object = STANDARD,
        *,
        away: bool = False,
        tolerations: Sequence[Object] = objects.ANYWHERE,
    ) -> None:
        """Install or upgrade the release; `away` keeps agents from every node."""
        host = "" if away else self.host
        old = self.agent()["metadata"]["name"] if away else ""
        values = objects.values(self.given, host, config, tolerations)
        self.cluster.install(RELEASE, self.chart, values)
        wanted = 0 if away else 1
        self.cluster.until(is_settled(wanted), "daemonset", AGENT, seconds=240)
        if old:  # it may still end
            self.cluster.delete("pod", old)

    def offers(self, resource: str, count: int, seconds: float = 120) -> None:
        """Wait until the node has so many devices for pods."""
        self.cluster.until(has("allocatable", resource, count), "node", self.node, seconds=seconds)

    def agent(self) -> Object:
        """Return the agent's pod."""
        listed = self.cluster.get("pods", "--selector", AGENTS)["items"]
        (found,) = [each for each in listed if "deletionTimestamp" not in each["metadata"]]
        pod: Object = found
        return pod

    def successor(self, uid: str) -> None:
        """Wait until another agent than that one is ready."""
        self.cluster.until(
            lambda pod: pod["metadata"]["uid"] != uid and is_ready(pod),
            *("pods", "--selector", AGENTS),
            seconds=120,
        )

    def start(self, name: str, script: str, *limits: dict[str, int]) -> None:
        """Start a pod that says something and ends."""
        self.cluster.apply(objects.pod(self.given, name, self.host, script, *limits))

    def hold(self, name: str, *limits: dict[str, int]) -> None:
        """Start a pod that has devices until it is deleted."""
        pod = objects.pod(self.given, name, self.host, ":", *limits, wait=True)
        self.cluster.apply(pod)
        found = self.cluster.until(in_phase("Running", "Failed"), "pod", name, seconds=120)
        assert found["status"]["phase"] == "Running", found["status"]

    def said(self, name: str) -> list[list[str]]:
        """Wait for the end of a pod; return what each container said, line by line."""
        pod = self.cluster.until(in_phase("Succeeded", "Failed"), "pod", name, seconds=120)
        assert pod["status"]["phase"] == "Succeeded", pod["status"]
        states = sorted(pod["status"]["containerStatuses"], key=lambda each: str(each["name"]))
        return [each["state"]["terminated"].get("message", "").split() for each in states]

    def touch(self, script: str) -> None:
        """Do something in the folder of the test's files, on the node, at /e2e."""
        name = f"hands-{time.monotonic_ns()}"
        self.cluster.apply(objects.hands(self.given, name, self.host, script))
        self.said(name)


def taints(node: Object) -> list[str]:
    """Return the keys of a node's taints."""
    return [each["key"] for each in node["spec"].get("taints", ())]


def in_phase(*phases: str) -> Callable[[Object], bool]:
    return lambda pod: pod["status"].get("phase") in phases


def is_ready(pod: Object) -> bool:
    conditions = pod["status"].get("conditions", [])
    return any((each["type"], each["status"]) == ("Ready", "True") for each in conditions)


def has(field: str, resource: str, count: int) -> Callable[[Object], bool]:
    return lambda node: int(node["status"][field].get(resource, "-1")) == count


def is_settled(wanted: int) -> Callable[[Object], bool]:
    """Tell whether a DaemonSet has so many pods, all of the newest template and ready."""

    def settled(found: Object) -> bool:
        status = found["status"]
        fields = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady")
        return (
            status.get("observedGeneration") == found["metadata"]["generation"]
            and {status.get(field, 0) for field in fields} == {wanted}
            and status.get("updatedNumberScheduled", 0) == wanted
        )

    return settled
