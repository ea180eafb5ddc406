"""What Helm tells the operator after an installation."""

import pytest

from support.chart_values import COMBINED, THREE_POOLS
from support.charts import SUBCHARTS, UMBRELLA, Charts


def test_an_umbrella_that_runs_nothing_says_how_to_begin(charts: Charts) -> None:
    """With the value that does it."""
    notes = charts.notes(UMBRELLA, {})
    assert "Nothing runs yet" in notes
    assert "nodePools" in notes
    assert "--set custom.enabled=true" in notes


@pytest.mark.parametrize("chart", SUBCHARTS)
def test_the_next_steps_are_told(charts: Charts, chart: str) -> None:
    """The namespace, the rollout, the test; with the names that the release has."""
    notes = charts.notes(chart, {})
    assert "kubectl label namespace devices pod-security.kubernetes.io/enforce=privileged" in notes
    assert "--selector app.kubernetes.io/instance=r" in notes
    assert "helm test r --namespace devices --logs" in notes


@pytest.mark.parametrize(
    ("values", "pools"), [(THREE_POOLS, "a100, cards, edge"), (COMBINED, "edge")]
)
def test_node_pools_are_named(charts: Charts, values: dict[str, object], pools: str) -> None:
    """Once, by the umbrella."""
    notes = charts.notes(UMBRELLA, values)
    assert f"in namespace devices, node pools {pools}\n" in notes
    assert notes.count("helm test") == 1
