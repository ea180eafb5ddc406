"""What the charts render is what Kubernetes takes."""

import re
from collections.abc import Iterator

import kubernetes_validate
import pytest
import yaml

from support.chart_values import SCENARIOS
from support.charts import SUBCHARTS, UMBRELLA, Charts, of_kind, own_kinds

OLDEST = 30
NEWEST = int(kubernetes_validate.latest_version().split(".")[1])

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS)


@each_scenario
@pytest.mark.parametrize("minor", [OLDEST, NEWEST])
def test_each_manifest_is_valid(charts: Charts, scenario: str, minor: int) -> None:
    """By the strict schemas of the oldest and of the newest Kubernetes."""
    for manifest in own_kinds(charts.render(*SCENARIOS[scenario])):
        kubernetes_validate.validate(manifest, f"1.{minor}", strict=True)


@pytest.mark.parametrize("minor", range(OLDEST + 1, NEWEST))
def test_everything_is_valid_for_the_versions_between(charts: Charts, minor: int) -> None:
    """One rendering that has every kind."""
    for manifest in own_kinds(charts.render(*SCENARIOS["umbrella with everything on"])):
        kubernetes_validate.validate(manifest, f"1.{minor}", strict=True)


@pytest.mark.parametrize("scenario", ["umbrella with everything on", "three pools", "combined"])
def test_the_umbrella_passes_strict_lint(charts: Charts, scenario: str) -> None:
    """And so do the charts below it."""
    done = charts.lint([UMBRELLA], SCENARIOS[scenario][1])
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_chart_passes_strict_lint_with_its_defaults(charts: Charts) -> None:
    """As somebody would install it first."""
    done = charts.lint([UMBRELLA, *SUBCHARTS], {})
    assert done.returncode == 0, done.stdout + done.stderr


@each_scenario
def test_nothing_is_null(charts: Charts, scenario: str) -> None:
    """A template that found nothing would say so, and the API server would take it."""
    assert [path for each in charts.render(*SCENARIOS[scenario]) for path in nulls(each, "")] == []


def nulls(found: object, path: str) -> Iterator[str]:
    if found is None:
        yield path
    if isinstance(found, dict):
        for key, value in found.items():
            yield from nulls(value, f"{path}.{key}")
    if isinstance(found, list):
        for value in found:
            yield from nulls(value, f"{path}[]")


@each_scenario
def test_no_two_objects_have_one_name(charts: Charts, scenario: str) -> None:
    """The second would take the place of the first."""
    names = [(e["kind"], e["metadata"]["name"]) for e in charts.render(*SCENARIOS[scenario])]
    assert len(set(names)) == len(names)


def test_the_umbrella_runs_nothing_until_it_is_told_to(charts: Charts) -> None:
    """Agents on nodes without their hardware help nobody."""
    assert charts.render(UMBRELLA, {}) == []


@pytest.mark.parametrize("chart", SUBCHARTS)
def test_a_chart_alone_runs_its_backend_everywhere(charts: Charts, chart: str) -> None:
    """One DaemonSet, without any selector."""
    (agent,) = of_kind(charts.render(chart, {}), "DaemonSet")
    pod = agent["spec"]["template"]["spec"]
    assert pod.get("nodeSelector") is None
    assert pod["containers"][0]["args"][1] == f"--backend={chart.replace('-', '_')}"


def test_alerts_are_rules_of_the_prometheus_operator(charts: Charts) -> None:
    """The file's groups stand where the operator looks for them."""
    (rules,) = of_kind(charts.render(*SCENARIOS["umbrella with everything on"]), "PrometheusRule")
    assert [group["name"] for group in rules["spec"]["groups"]] == ["nodeplug"]


def test_alerts_know_the_agents_by_their_job(charts: Charts) -> None:
    """Which the PodMonitor takes from a label of the pods, whatever the release is called."""
    rendered = charts.render(*SCENARIOS["umbrella with everything on"])
    expressions = yaml.safe_dump(of_kind(rendered, "PrometheusRule"))
    (pattern,) = set(re.findall(r'job=~"(.*?)"', expressions))
    for agent, monitor in zip(
        of_kind(rendered, "DaemonSet"), of_kind(rendered, "PodMonitor"), strict=False
    ):
        labels = agent["spec"]["template"]["metadata"]["labels"]
        assert re.fullmatch(pattern, labels[monitor["spec"]["jobLabel"]])


def test_the_dashboard_is_json(charts: Charts) -> None:
    """Grafana reads it from the ConfigMap."""
    found = of_kind(charts.render(*SCENARIOS["umbrella with everything on"]), "ConfigMap")
    (board,) = (each for each in found if "nodeplug.json" in each["data"])
    assert yaml.safe_load(board["data"]["nodeplug.json"])["uid"] == "nodeplug"
