"""`helm test`: what its pods ask for, and what they look at."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from support.charts import Charts, of_kind, pod_spec


def containers(charts: Charts, *resources: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the container of each test pod."""
    pods = of_kind(charts.render("custom", {"test": {"resources": [*resources]}}), "Pod")
    assert [each["metadata"]["annotations"]["helm.sh/hook"] for each in pods] == ["test"] * len(
        pods
    )
    return [pod_spec(each)["containers"][0] for each in pods]


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
