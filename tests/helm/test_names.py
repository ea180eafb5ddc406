"""Helm and `config check` take the same names: those that Kubernetes takes."""

import json
from pathlib import Path

import pytest

from support.charts import Charts, Values
from support.command import nodeplug
from support.kubernetes_names import (
    BAD_KEYS,
    BAD_RESOURCES,
    GOOD_KEYS,
    GOOD_RESOURCES,
    UPPER_CASE,
    on_some_nodes,
    with_annotation,
    with_offer,
    with_rename,
    with_resource,
    with_taint,
)

TAKEN = [
    *map(with_taint, GOOD_KEYS),
    *map(with_annotation, (*GOOD_KEYS, UPPER_CASE)),
    *map(with_resource, (*GOOD_RESOURCES, "example.com/{name}", "example.com/x-{name}.y")),
    *map(with_offer, (*GOOD_RESOURCES, "example.com/*", "example.com/x-*")),
    *map(with_rename, GOOD_RESOURCES),
]
REFUSED = [
    *map(with_taint, (*BAD_KEYS, UPPER_CASE)),
    *map(with_annotation, BAD_KEYS),
    *map(with_resource, (*BAD_RESOURCES, "{name}", "example.com/.{name}")),
    *map(with_offer, (*BAD_RESOURCES, "*", "example*", "a/*b")),
    *map(with_rename, BAD_RESOURCES),
    on_some_nodes(with_taint("a b")),
    on_some_nodes(with_annotation("a b")),
    on_some_nodes(with_resource("x")),
]


def passes_check(folder: Path, config: Values) -> bool:
    file = folder / "nodeplug.yaml"
    file.write_text(json.dumps(config))
    return nodeplug("config", "check", str(file)).code == 0


@pytest.mark.parametrize("config", TAKEN, ids=json.dumps)
def test_a_name_of_kubernetes_is_taken_by_both(
    charts: Charts, tmp_path: Path, config: Values
) -> None:
    """Also at the limits."""
    assert charts.render("custom", {"config": config})
    assert passes_check(tmp_path, config)


@pytest.mark.parametrize("config", REFUSED, ids=json.dumps)
def test_any_other_is_refused_by_both(charts: Charts, tmp_path: Path, config: Values) -> None:
    """Before an agent could not serve it, or the API server would not know it."""
    assert "at '/config/" in charts.refusal("custom", {"config": config})
    assert not passes_check(tmp_path, config)


@pytest.mark.parametrize("name", BAD_RESOURCES)
def test_a_test_asks_for_names_only(charts: Charts, name: str) -> None:
    """`helm test` would wait for a pod that the API server refuses."""
    values = {"test": {"resources": [{"resource": name}]}}
    assert "at '/test/resources/0/resource'" in charts.refusal("custom", values)
