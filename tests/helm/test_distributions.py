"""Values for nodes of other distributions render what the page tells of these nodes."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from nodeplug.config.settings import PLUGIN_DIR
from support.charts import UMBRELLA, Charts, Manifest, of_kind, only, pod_spec
from support.repository import ROOT

PAGE = (ROOT / "docs/deployment.md").read_text()
ROW = re.compile(
    r"^\| [\w ]+ \| \[[\w-]+\]\(\.\./examples/values/(\S+)\) \| `(\S+)` \| `(\S+)` \|(.*?)\| "
    r"(\S.*) \|$",
    re.MULTILINE,
)
ROWS = {name: rest for name, *rest in ROW.findall(PAGE)}
CONFINED = "container_device_plugin_t"


def rendered(charts: Charts, name: str) -> list[Manifest]:
    return charts.render(UMBRELLA, yaml.safe_load((ROOT / "examples/values" / name).read_text()))


def agent(charts: Charts, name: str) -> dict[str, Any]:
    return pod_spec(only(rendered(charts, name), "DaemonSet"))


def test_the_page_has_them_all() -> None:
    """Each with where it was found."""
    names = {"k3s", "rke2", "microk8s", "talos", "bottlerocket", "openshift"}
    assert ROWS.keys() == {f"{name}.yaml" for name in names}
    assert [name for name, (*_, source) in ROWS.items() if "](https://" not in source] == []


@pytest.mark.parametrize("name", ROWS)
def test_an_agent_has_the_folders_that_the_page_tells(charts: Charts, name: str) -> None:
    """Of the host, at the same place in its container, and no other folder of a kubelet."""
    plugins, pods, *_ = ROWS[name]
    spec = agent(charts, name)
    paths = {each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each}
    mounted = {each["mountPath"] for each in spec["containers"][0]["volumeMounts"]}
    assert {path for path in paths if "kubelet" in path} == {plugins, pods}
    assert paths <= mounted


@pytest.mark.parametrize("name", ROWS)
def test_the_folder_of_device_plugins_is_moved_by_no_flag(name: str) -> None:
    """R1."""
    assert ROWS[name][0] == PLUGIN_DIR


def test_another_root_of_the_kubelet_moves_its_plugin_registry_too(charts: Charts) -> None:
    """Where resources are found there."""
    values = yaml.safe_load((ROOT / "examples/values/microk8s.yaml").read_text())
    values["custom"]["config"]["kubelet"]["registration"] = "watcher"
    spec = pod_spec(only(charts.render(UMBRELLA, values), "DaemonSet"))
    paths = {each["hostPath"]["path"] for each in spec["volumes"] if "hostPath" in each}
    root = Path(ROWS["microk8s.yaml"][1]).parent
    assert str(root / "plugins_registry") in paths


@pytest.mark.parametrize("name", ROWS)
def test_besides_what_the_page_tells_nothing_is_set(charts: Charts, name: str) -> None:
    """SELinux's type and SCCs."""
    besides = ROWS[name][2]
    options = agent(charts, name)["containers"][0]["securityContext"].get("seLinuxOptions", {})
    assert options == ({"type": CONFINED} if "`seLinuxType`" in besides else {})
    policies = of_kind(rendered(charts, name), "SecurityContextConstraints")
    assert bool(policies) is ("`openshift.scc`" in besides)
