"""Whole renderings, so that a change of the templates shows what it changes.

`NODEPLUG_SNAPSHOTS=write pytest tests/helm` writes them anew.
"""

import os
from pathlib import Path

import pytest
import yaml

from support.chart_values import SCENARIOS
from support.charts import Charts

FOLDER = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize("scenario", ["custom alone", "three pools", "combined"])
def test_what_is_rendered_is_what_was_reviewed(charts: Charts, scenario: str) -> None:
    """Every key of every object."""
    file = FOLDER / f"{scenario.replace(' ', '-')}.yaml"
    rendered = charts.render(*SCENARIOS[scenario])
    if os.environ.get("NODEPLUG_SNAPSHOTS") == "write":
        FOLDER.mkdir(exist_ok=True)
        file.write_text(yaml.safe_dump_all(rendered, sort_keys=False))
    assert [*yaml.safe_load_all(file.read_text())] == rendered
