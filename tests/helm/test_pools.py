"""Node pools: which agents there are, where they run and what they are configured with."""

from typing import Any

import pytest

from support.chart_values import COMBINED, SCENARIOS, THREE_POOLS
from support.charts import UMBRELLA, Charts, Manifest, configuration, of_kind, only, pod_spec
from support.command import nodeplug


def daemon_set(manifests: list[Manifest], name: str) -> dict[str, Any]:
    """Return the pod of one DaemonSet."""
    (found,) = (e for e in of_kind(manifests, "DaemonSet") if e["metadata"]["name"] == name)
    return pod_spec(found)


def config_of(manifests: list[Manifest], name: str) -> dict[str, Any]:
    (found,) = (e for e in of_kind(manifests, "ConfigMap") if e["metadata"]["name"] == name)
    return configuration(found)


def test_there_is_an_agent_for_each_backend_of_each_pool(charts: Charts) -> None:
    """Those of others included."""
    found = of_kind(charts.render(UMBRELLA, THREE_POOLS), "DaemonSet")
    assert {each["metadata"]["name"] for each in found} == {
        "r-custom-edge",
        "r-intel-fpga-cards",
        "r-lamps-cards",
        "r-nvidia-gpu-a100",
        "r-sriov-net-a100",
    }


def test_an_agent_runs_on_the_nodes_of_its_pool(charts: Charts) -> None:
    """By the pool's labels and taints, and with its resources."""
    rendered = charts.render(UMBRELLA, THREE_POOLS)
    gpu, edge = daemon_set(rendered, "r-nvidia-gpu-a100"), daemon_set(rendered, "r-custom-edge")
    assert gpu["nodeSelector"] == {"pool": "a100"}
    assert gpu["tolerations"] == [{"key": "gpu", "operator": "Exists"}]
    assert edge["containers"][0]["resources"] == {"limits": {"cpu": "50m", "memory": "96Mi"}}


def test_a_pools_configuration_is_merged_over_the_charts(charts: Charts) -> None:
    """A list takes the other's place; sections of other backends are left out."""
    values = {
        "global": {
            "nodePools": {
                "edge": {
                    "backends": ["custom", "sriov_net"],
                    "config": {
                        "log": {"level": "debug"},
                        "quarantine": [],
                        "backends": {"custom": {"reconcileSeconds": 5}, "sriov_net": {}},
                    },
                }
            }
        },
        "custom": {
            "config": {
                "log": {"level": "error", "format": "json"},
                "quarantine": [{"devices": {"id": "x"}}],
                "backends": {"custom": {"resources": []}},
            }
        },
    }
    assert config_of(charts.render(UMBRELLA, values), "r-custom-edge") == {
        "log": {"level": "debug", "format": "json"},
        "quarantine": [],
        "backends": {"custom": {"resources": [], "reconcileSeconds": 5}},
    }


def test_a_combined_agent_is_one_with_all_backends_of_the_pool(charts: Charts) -> None:
    """From the image that has them all, with each chart's section, paths and runtime class."""
    rendered = charts.render(UMBRELLA, COMBINED)
    pod = pod_spec(only(rendered, "DaemonSet"))
    config = config_of(rendered, "r-combined-edge")
    assert pod["containers"][0]["image"] == "images.example.com/nodeplug/all:0.1.0"
    assert pod["containers"][0]["args"][1:5] == [
        "--backend=custom",
        "--backend=intel_fpga",
        "--backend=nvidia_gpu",
        "--backend=sriov_net",
    ]
    assert pod["runtimeClassName"] == "nvidia"
    assert "/opt/tokens" in [each["mountPath"] for each in pod["containers"][0]["volumeMounts"]]
    assert config["backends"].keys() == {"custom", "intel_fpga"}
    assert config["offers"] == COMBINED["custom"]["config"]["offers"]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_configuration_that_is_rendered_passes_the_check(
    charts: Charts, scenario: str, tmp_path: Any
) -> None:
    """By `nodeplug config check`, as an operator would do it."""
    own = [
        each
        for each in of_kind(charts.render(*SCENARIOS[scenario]), "ConfigMap")
        if "nodeplug.yaml" in each["data"]
    ]
    files = []
    for each in own:
        files.append(tmp_path / f"{each['metadata']['name']}.yaml")
        files[-1].write_text(each["data"]["nodeplug.yaml"])
    done = nodeplug("config", "check", *map(str, files)) if files else None
    assert done is None or (done.code, done.err) == (0, "")


def test_a_new_configuration_starts_agents_anew_only_where_it_must(charts: Charts) -> None:
    """Offers and backends are taken over while the agent runs; ports are not."""

    def mark(config: dict[str, Any]) -> str:
        agent = only(charts.render("custom", {"config": config}), "DaemonSet")
        found: str = agent["spec"]["template"]["metadata"]["annotations"]["nodeplug-read-once"]
        return found

    hot = {"quarantine": [{"devices": {"id": "x"}}], "nodes": [{"config": {"backends": {}}}]}
    assert mark(hot) == mark({})
    assert mark({"metrics": {"port": 9000}}) != mark({})
    assert mark({"nodes": [{"names": ["a"], "config": {"log": {"level": "debug"}}}]}) != mark({})


def test_probes_and_metrics_are_where_the_agent_serves_them(charts: Charts) -> None:
    """The backend's own port, the one that is set, or none."""

    def ports(config: dict[str, Any]) -> list[int]:
        agent = only(charts.render("intel-fpga", {"config": config}), "DaemonSet")
        (container,) = pod_spec(agent)["containers"]
        assert ("livenessProbe" in container) is ("ports" in container)
        return [port["containerPort"] for port in container.get("ports", [])]

    assert ports({}) == [9842]
    assert ports({"metrics": {"port": 9000}}) == [9000]
    assert ports({"metrics": {"enabled": False}}) == []


def test_probes_go_to_an_address_that_is_set(charts: Charts) -> None:
    """In the host's network the pod's own address may be another."""

    def host(address: str) -> str | None:
        config = {"metrics": {"address": address}}
        agent = only(charts.render("sriov-net", {"config": config}), "DaemonSet")
        found: str | None = pod_spec(agent)["containers"][0]["readinessProbe"]["httpGet"].get(
            "host"
        )
        return found

    assert [host("127.0.0.1"), host("0.0.0.0"), host("")] == ["127.0.0.1", None, None]  # noqa: S104


def test_nodes_without_the_hardware_get_no_agent_where_they_are_known(charts: Charts) -> None:
    """The rule's label and the affinity's are the same."""
    on = {"nodeFeatureDiscovery": {"rule": True, "affinity": True}}
    rendered = charts.render("nvidia-gpu", on)
    (rule,) = only(rendered, "NodeFeatureRule")["spec"]["rules"]
    affinity = pod_spec(only(rendered, "DaemonSet"))["affinity"]["nodeAffinity"]
    (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    (expression,) = term["matchExpressions"]
    assert {expression["key"]: expression["values"][0]} == rule["labels"]


@pytest.mark.parametrize(
    ("pool", "tested"),
    [
        ({"backends": ["custom"]}, True),
        ({"backends": ["custom"], "agent": "combined"}, True),
        ({"backends": ["sriov_net"]}, False),
    ],
)
def test_a_backend_is_tested_where_some_pool_has_it(
    charts: Charts, pool: dict[str, Any], *, tested: bool
) -> None:
    """By an agent of its own or by a combined one."""
    values = {
        "global": {"nodePools": {"edge": pool}},
        "custom": {"test": {"resources": [{"resource": "example.com/a"}]}},
    }
    assert bool(of_kind(charts.render(UMBRELLA, values), "Pod")) is tested


def test_agents_of_two_pools_have_accounts_of_their_own(charts: Charts) -> None:
    """Under a name of the operator's too: what one is granted is not the other's."""
    pools = {name: {"nodeSelector": {"pool": name}, "backends": ["custom"]} for name in "ab"}
    values = {
        "global": {"nodePools": pools},
        "custom": {"serviceAccount": {"name": "agents"}},
    }
    rendered = charts.render(UMBRELLA, values)
    made = {each["metadata"]["name"] for each in of_kind(rendered, "ServiceAccount")}
    used = {pod_spec(each)["serviceAccountName"] for each in of_kind(rendered, "DaemonSet")}
    assert made == used == {"agents-a", "agents-b"}


def test_an_account_of_the_operators_is_used_as_it_is(charts: Charts) -> None:
    """By every agent of the chart, and none is made."""
    rendered = charts.render("custom", {"serviceAccount": {"create": False, "name": "agents"}})
    assert of_kind(rendered, "ServiceAccount") == []
    assert pod_spec(only(rendered, "DaemonSet"))["serviceAccountName"] == "agents"
