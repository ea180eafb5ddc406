"""What alerts and the dashboard ask for exists, and each alert is explained."""

import json
import re
from typing import Any, get_args

import yaml

from nodeplug.backend import Quantity
from support.repository import ROOT
from support.stage import stage
from support.watched import watched

FILES = ROOT / "helm" / "nodeplug" / "files"
NAME = re.compile(r"\b(?:nodeplug|process)_[a-z_]+")


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load((FILES / "alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def asked_for() -> set[str]:
    dashboard = json.loads((FILES / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    variables = [each.get("definition", "") for each in dashboard["templating"]["list"]]
    rules = [rule["expr"] for rule in alerts()]
    return {name for text in [*expressions, *variables, *rules] for name in NAME.findall(text)}


def series(name: str, kind: str) -> set[str]:
    suffixes = {"histogram": ("_bucket", "_count", "_sum")}.get(kind, ("",))
    return {f"{name}{suffix}" for suffix in suffixes}


async def test_every_metric_in_alerts_and_dashboard_is_served() -> None:
    """As a scrape shows it; telemetry by what its quantities are called."""
    async with stage() as play, watched(play) as watch:
        _, text = await watch.get("/metrics")
    served = {f"nodeplug_device_{quantity}" for quantity in get_args(Quantity)}
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, flags=re.MULTILINE):
        served |= series(name, kind)
    assert asked_for() - served == set()


async def test_every_metric_is_documented() -> None:
    """In the table of docs/operations.md."""
    async with stage() as play, watched(play, per_device=True) as watch:
        _, text = await watch.get("/metrics")
    page = (ROOT / "docs" / "operations.md").read_text()
    names = re.findall(r"^# TYPE (nodeplug_\S+) ", text, flags=re.MULTILINE)
    assert [name for name in names if f"`{name}" not in page] == []


def test_every_alert_is_explained() -> None:
    """With a remedy, under its own name."""
    page = (ROOT / "docs" / "operations.md").read_text()
    assert [rule["alert"] for rule in alerts() if f"### {rule['alert']}\n" not in page] == []
