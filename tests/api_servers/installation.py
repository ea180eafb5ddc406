"""Agents of one release on two nodes, as objects of an API server: no kubelet runs their pods."""

import time
from collections.abc import Callable
from copy import deepcopy
from http import HTTPStatus
from pathlib import Path
from typing import Any

from api_servers.server import Answer, ApiServer
from support.charts import Charts, Manifest, of_kind, only

NAMESPACE = "devices"
OWN, OTHER = "node-a", "node-b"
TAINT, KEPT_TAINT = "example.com/starting", "example.com/kept"
ANNOTATION = "example.com/out-of-service"
CONFIG = {
    "cluster": {
        "events": True,
        "condition": True,
        "removeTaint": TAINT,
        "quarantineAnnotation": ANNOTATION,
    }
}
# What a policy has said last is in force some moments later.


class Installation:
    """`accounts` are folders with tokens: of a pod on `OWN`, and of no pod at all.

    `without` is an agent with the same roles and no policy.
    """

    def __init__(self, server: ApiServer, charts: Charts) -> None:
        self.server = server
        server.have("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        path = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
        server.have("POST", path, {"metadata": {"name": "default"}})
        for name in (OWN, OTHER):
            server.have("POST", "/api/v1/nodes", _node(name))
            server.have("PATCH", f"/api/v1/nodes/{name}/status", {"status": _status()})
        self.agent = self._install(charts.render("custom", {"config": CONFIG}))
        other = {"config": CONFIG, "rbac": {"admissionPolicy": False}}
        self.without = self._install(charts.render("sriov-net", other))
        self.nowhere = server.account(NAMESPACE, "r-custom", None)
        self._until_refused(lambda: self.patch_node(OWN, {"metadata": {"labels": {"a": "b"}}}))
        self._until_refused(lambda: self.make_event(event(OWN, kind="Pod")))

    def patch_node(
        self, name: str, body: object, part: str = "", account: Path | None = None
    ) -> Answer:
        """Try to patch a node, without effect."""
        path = f"/api/v1/nodes/{name}{part}?dryRun=All"
        return self.server.ask("PATCH", path, body, self._token(account))

    def make_event(self, body: object, account: Path | None = None) -> Answer:
        """Try to make an Event, without effect."""
        path = "/api/v1/namespaces/default/events?dryRun=All"
        return self.server.ask("POST", path, body, self._token(account))

    def node(self, name: str) -> dict[str, Any]:
        return self.server.have("GET", f"/api/v1/nodes/{name}")

    def _token(self, account: Path | None) -> str:
        return ((account or self.agent) / "token").read_text()

    def _install(self, manifests: list[Manifest]) -> Path:
        """Apply a chart, make the pod that its DaemonSet would, return its account."""
        self.server.kubectl("apply", manifests=manifests)
        workload = only(manifests, "DaemonSet")
        spec = deepcopy(workload["spec"]["template"]["spec"])
        name = workload["metadata"]["name"]
        body = {"metadata": {"name": f"{name}-x"}, "spec": {**spec, "nodeName": OWN}}
        pod = self.server.have("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", body)
        (account,) = of_kind(manifests, "ServiceAccount")
        return self.server.account(NAMESPACE, account["metadata"]["name"], pod)

    def _until_refused(self, attempt: Callable[[], Answer]) -> None:
        while attempt().status != HTTPStatus.FORBIDDEN:
            time.sleep(0.05)


def event(node: str, kind: str = "Node", component: str = "nodeplug") -> dict[str, Any]:
    """Return an Event of a node, or of something else with its name."""
    return {
        "metadata": {"name": f"{node}.nodeplug.1", "namespace": "default"},
        "involvedObject": {"kind": kind, "apiVersion": "v1", "name": node},
        "reason": "DeviceUnhealthy",
        "type": "Warning",
        "source": {"component": component, "host": node},
    }


def _node(name: str) -> dict[str, Any]:
    taints = [{"key": key, "effect": "NoSchedule"} for key in (TAINT, KEPT_TAINT)]
    annotations = {ANNOTATION: "[]"}
    return {"metadata": {"name": name, "annotations": annotations}, "spec": {"taints": taints}}


def _status() -> dict[str, Any]:
    image = {"names": [f"registry.example/x:{number}" for number in range(2)], "sizeBytes": 1}
    return {
        "capacity": {"cpu": "8"},
        "conditions": [{"type": "Ready", "status": "True"}],
        "images": [image] * 50,
    }
