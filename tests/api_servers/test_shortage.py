"""`helm test` says which resource is short on which node, and why; by a real API server."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from api_servers.installation import NAMESPACE, Installation
from support.charts import Charts, Manifest, of_kind

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("API servers")]

ASKED, SCARCE = "example.com/x", "example.com/scarce"
FIRST, SECOND = "node-first", "node-second"
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
LABELS = {
    "app.kubernetes.io/instance": "r",
    "app.kubernetes.io/component": "agent",
    "app.kubernetes.io/name": "custom",
}


def node(installation: Installation, name: str, **status: Any) -> None:
    installation.server.ask("DELETE", f"/api/v1/nodes/{name}")
    installation.server.have("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    path = f"/api/v1/nodes/{name}/status"
    installation.server.have("PATCH", path, {"status": {**READY, **status}})


def pod(installation: Installation, name: str, at: str, **given: Any) -> None:
    """Make a pod; `given` are labels, limits and the status."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    container = {"name": "c", "image": "x", "resources": {"limits": given.get("limits", {})}}
    body = {
        "metadata": {"name": name, "labels": given.get("labels", {})},
        "spec": {"nodeName": at, "containers": [container], "terminationGracePeriodSeconds": 0},
    }
    installation.server.have("POST", path, body)
    installation.server.have("PATCH", f"{path}/{name}/status", {"status": given["status"]})


class Answer(NamedTuple):
    code: int
    lines: list[str]


class Stage:
    """Two nodes: one with devices, one of which is sick and one in use; one with none left."""

    def __init__(self, installation: Installation, charts: Charts) -> None:
        self._installation = installation
        self._charts = charts
        self._accounts: dict[str, Any] = {}
        node(installation, FIRST, capacity={ASKED: "3"}, allocatable={ASKED: "2"})
        node(installation, SECOND, capacity={ASKED: "1k"}, allocatable={ASKED: "1k"})
        waits = {"waiting": {"reason": "ImagePullBackOff"}}
        status = [{"name": "c", "image": "x", "imageID": "", "state": waits}]
        for name in ("a-0", "a-1"):  # as while one takes over from the other
            pod(installation, name, FIRST, labels=LABELS, status=READY)
        pod(installation, "a-2", SECOND, labels=LABELS, status={"containerStatuses": status})
        pod(installation, "user", FIRST, limits={ASKED: "1"}, status={"phase": "Running"})
        pod(installation, "ended", FIRST, limits={ASKED: "1"}, status={"phase": "Succeeded"})
        pod(installation, "many", SECOND, limits={ASKED: "1k"}, status={"phase": "Running"})

    def close(self) -> None:
        for name in ("a-0", "a-1", "a-2", "user", "ended", "many"):
            self._installation.server.have("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}")

    def asked(self, *resources: Manifest, account: object = None, **test: Any) -> Answer:
        """Run what the chart's first test pod runs, with its rights or others; at once."""
        values = {"test": {"resources": [*resources], **test}}
        hooks = [
            each
            for each in self._charts.render("custom", values)
            if each["metadata"].get("annotations", {}).get("helm.sh/hook-weight") in {"-1", "-2"}
        ]
        server = self._installation.server
        server.kubectl("apply", manifests=[each for each in hooks if each["kind"] != "Pod"])
        (found,) = of_kind(hooks, "Pod")
        name = found["spec"]["serviceAccountName"]
        if name not in self._accounts:
            self._accounts[name] = server.account(NAMESPACE, name, None)
        command = (sys.executable, "-m", "nodeplug", *found["spec"]["containers"][0]["args"])
        done = subprocess.run(
            (*command, "--seconds=0", f"--account={account or self._accounts[name]}"),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | server.environment,
        )
        assert done.stderr == ""
        return Answer(done.returncode, done.stdout.splitlines())


@pytest.fixture(scope="module")
def stage(installation: Installation, charts: Charts) -> Iterator[Stage]:
    found = Stage(installation, charts)
    yield found
    found.close()


ON_FIRST = f"{FIRST}: {ASKED}: 1 free, 2 wanted: 1 of 3 are unhealthy; {NAMESPACE}/user has 1"
ON_SECOND = (
    f"{SECOND}: {ASKED}: 0 free, 1 wanted: {NAMESPACE}/many has 1000; "
    f"the agent {NAMESPACE}/a-2 is not ready (ImagePullBackOff)"
)


def test_one_node_with_enough_is_enough(stage: Stage) -> None:
    """Of any node, the scheduler takes that one."""
    assert stage.asked({"resource": ASKED}) == Answer(0, [f"enough is free: 1 {ASKED}"])


def test_what_is_short_is_told_of_each_node_with_its_reasons(stage: Stage) -> None:
    """Which devices are sick, which pods have the others, and whose agent does not work."""
    found = stage.asked({"resource": ASKED, "count": 2})
    assert found == Answer(1, [ON_FIRST, ON_SECOND.replace("1 wanted", "2 wanted")])


def test_every_node_can_be_asked_for(stage: Stage) -> None:
    """Then those are told that have too few."""
    assert stage.asked({"resource": ASKED}, everyNode=True) == Answer(1, [ON_SECOND])


def test_nodes_can_be_named(stage: Stage) -> None:
    """Others do not count; one without an agent is told."""
    assert stage.asked({"resource": ASKED}, nodes=[FIRST]).code == 0
    assert stage.asked({"resource": ASKED}, nodes=[SECOND]) == Answer(1, [ON_SECOND])
    found = stage.asked({"resource": ASKED}, nodes=[FIRST, "nowhere"])
    assert found == Answer(1, ["nowhere: no agent of this release is there"])


def test_a_resource_that_no_kubelet_knows_is_told(stage: Stage) -> None:
    """Beside those that are there."""
    code, lines = stage.asked({"resource": ASKED}, {"resource": SCARCE})
    assert code == 1
    assert (
        lines[0] == f"{FIRST}: {SCARCE}: 0 free, 1 wanted: the kubelet does not know the resource"
    )
    assert {line.partition(":")[0] for line in lines} == {FIRST, SECOND}


def test_what_the_api_server_refuses_is_told(stage: Stage, installation: Installation) -> None:
    """As where somebody else made the account."""
    code, lines = stage.asked({"resource": ASKED}, account=installation.agent)
    assert code == 1
    assert lines[0].startswith("the API server refuses: 403 pods is forbidden")
