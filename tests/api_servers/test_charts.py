"""A real API server takes every object of every chart, and has nothing to remark."""

import pytest

from api_servers.installation import Installation
from support.chart_values import SCENARIOS
from support.charts import Charts, of_kind, own_kinds

pytestmark = [pytest.mark.timeout(120), pytest.mark.xdist_group("API servers")]


@pytest.mark.parametrize(
    "scenario", [name for name in SCENARIOS if name != "umbrella with defaults"]
)
def test_every_object_is_taken(installation: Installation, charts: Charts, scenario: str) -> None:
    """No field that it does not know, no value that it refuses, no expression that is none."""
    manifests = own_kinds(charts.render(*SCENARIOS[scenario]))
    # A pod of its own is judged by its account, too, which Helm makes before it.
    installation.server.kubectl("apply", manifests=of_kind(manifests, "ServiceAccount"))
    said = installation.server.kubectl(
        "apply", "--dry-run=server", "--validate=strict", manifests=manifests
    )
    assert len(said.splitlines()) == len(manifests)
