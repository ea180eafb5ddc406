"""`helm test`: what its pods ask for, and what they look at."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from nodeplug.cli import shortage
from support.charts import Charts, Manifest, of_kind, pod_spec


def pods(charts: Charts, *resources: dict[str, Any], **test: Any) -> list[Manifest]:
    """Return the test pods in the order in which Helm runs them, one after the other's end."""
    values = {"test": {"resources": [*resources], **test}}
    found = of_kind(charts.render("custom", values), "Pod")
    assert all(each["metadata"]["annotations"]["helm.sh/hook"] == "test" for each in found)
    return sorted(found, key=lambda pod: int(pod["metadata"]["annotations"]["helm.sh/hook-weight"]))


def containers(charts: Charts, *resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the container of each test pod that asks for something."""
    return [pod_spec(each)["containers"][0] for each in pods(charts, *resources)[1:]]


def test_each_resource_that_is_named_is_asked_for(charts: Charts) -> None:
    """By one pod each, with the agent's image."""
    found = containers(charts, {"resource": "example.com/a"}, {"resource": "a.b/c", "count": 2})
    limits = [each["resources"]["limits"] for each in found]
    assert limits == [{"example.com/a": 1}, {"a.b/c": 2}]
    assert {each["image"] for each in found} == {"nodeplug/custom:0.1.0"}


def test_a_pod_looks_at_what_it_got(charts: Charts, tmp_path: Path) -> None:
    """Names of paths and variables that are not there are what it tells."""
    device = tmp_path / "device"
    named = {"resource": "a.b/c", "paths": [str(device)], "env": ["DEVICE"]}
    (container,) = containers(charts, named)
    assert "command" not in container

    def run(**env: str) -> list[str]:
        command = [sys.executable, "-m", "nodeplug", *container["args"]]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("missing")]

    assert run() == [str(device), "DEVICE"]
    device.touch()
    assert run() == ["DEVICE"]
    assert run(DEVICE="x") == []


def test_what_is_short_is_told_before_any_pod_waits_for_it(charts: Charts) -> None:
    """Within a minute, by a pod that asks for nothing itself; tests/api_servers shows what."""
    first, *_ = pods(charts, {"resource": "a.b/c", "count": 2}, {"resource": "a.b/d"})
    (container,) = pod_spec(first)["containers"]
    assert container["args"][:3] == ["shortage", "a.b/c=2", "a.b/d=1"]
    assert "resources" not in container
    seconds: Any = {each.name: each.default for each in shortage.command.params}["seconds"]
    assert seconds < 60


def test_nodes_are_tested_one_by_one_if_they_are_named(charts: Charts) -> None:
    """Each with a pod of its own for each resource."""
    first, *others = pods(charts, {"resource": "a.b/c"}, {"resource": "a.b/d"}, nodes=["m", "n"])
    assert pod_spec(first)["containers"][0]["args"][-2:] == ["--node=m", "--node=n"]
    terms = [
        pod_spec(each)["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]["nodeSelectorTerms"][0]["matchFields"][0]["values"]
        for each in others
    ]
    assert terms == [["m"], ["n"]] * 2
    assert len({each["metadata"]["name"] for each in others}) == 4


def test_without_rights_nothing_is_looked_up(charts: Charts) -> None:
    """Where the chart makes no roles; the pods that ask for devices are there all the same."""
    values = {"test": {"resources": [{"resource": "a.b/c"}]}, "rbac": {"create": False}}
    (pod,) = of_kind(charts.render("custom", values), "Pod")
    assert pod_spec(pod)["automountServiceAccountToken"] is False
