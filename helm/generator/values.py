"""The values of charts: JSON schema properties with a default each, and values.yaml from them."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from nodeplug.values.names import RESOURCE_NAME

SOURCES = Path(__file__).resolve().parents[1] / "values"
Properties = dict[str, Any]

_ENABLED = {
    "description": "Whether the backend runs, without node pools, on every node that its own "
    "affinity admits. With node pools it runs in those that name it.",
    "type": "boolean",
    "default": True,
}
_COMBINED = (
    "The agents of pools that have `agent: combined`: values as in the charts of the backends. "
    "Sections of backends, offers and quarantine come from those charts' own configuration."
)
_HEAD = "# Made by `make charts` from helm/values. docs/charts.md tells all keys."


def dashed(name: str) -> str:
    """Return a backend's name as charts and images have it."""
    return name.replace("_", "-")


def source(name: str) -> Properties:
    """Return the properties in one of the source files."""
    found: Properties = yaml.safe_load((SOURCES / f"{name}.yaml").read_text())
    return found


def subchart(name: str) -> Properties:
    """Return the values of the chart of one backend."""
    properties: Properties = {"enabled": _ENABLED, **_agent(dashed(name))}
    properties["image"]["properties"]["repository"]["default"] = f"nodeplug/{dashed(name)}"
    return properties


def world() -> Properties:
    """Return `global`."""
    what = "What all charts of a release see; other charts may have keys of their own there."
    return _object(what, source("global"))


def umbrella(names: Iterable[str]) -> Properties:
    """Return the values of the umbrella chart."""
    own = source("umbrella")
    foreign = _without_defaults(_agent() | source("foreign"))
    own["foreign"]["additionalProperties"] = _object("A backend.", foreign, required=["image"])
    charts = {
        dashed(name): {
            "description": f"Values of the chart `{dashed(name)}`.",
            "type": "object",
            "default": {"enabled": False},
        }
        for name in names
    }
    combined = _object(_COMBINED, _agent("combined"))
    return {"global": world(), **charts, "combined": combined, **own}


def _agent(chart: str = "") -> Properties:
    """Return the values of an agent, with the other defaults and keys that a chart has."""
    properties = source("agent")
    other = source(chart) if (SOURCES / f"{chart}.yaml").exists() else {}
    asked = properties["test"]["properties"]["resources"]["items"]["properties"]["resource"]
    asked |= RESOURCE_NAME.extra_json_schema or {}
    for key, value in other.get("defaults", {}).items():
        first, _, second = key.partition(".")
        changed = properties[first]["properties"][second] if second else properties[first]
        changed["default"] = value
    return properties


def _object(description: str, properties: Properties, **more: object) -> Properties:
    return {"description": description, "type": "object", "properties": properties, **more}


def _without_defaults(properties: Properties) -> Properties:
    kept = {
        name: {key: value for key, value in each.items() if key != "default"}
        for name, each in deepcopy(properties).items()
    }
    for each in kept.values():
        if "properties" in each:
            each["properties"] = _without_defaults(each["properties"])
    return kept


def defaults(properties: Properties) -> dict[str, Any]:
    """Return the values that hold when nothing is said."""
    return {
        key: value["default"] if "default" in value else defaults(value["properties"])
        for key, value in properties.items()
    }


def text(properties: Properties) -> str:
    """Return values.yaml: each key with its description above it."""
    return "\n".join([_HEAD, *_lines(properties, "")]) + "\n"


def _lines(properties: Properties, indent: str) -> Iterator[str]:
    for key, value in properties.items():
        if not indent:
            yield ""
        yield f"{indent}# {value['description']}"
        if "default" in value:
            yield indent + _flow({key: value["default"]})
        else:
            yield f"{indent}{key}:"
            yield from _lines(value["properties"], f"{indent}  ")


def _flow(entry: dict[str, Any]) -> str:
    """Return one key with its value, the latter in one line."""
    ((key, value),) = entry.items()
    shown = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
    return f"{key}: {shown.splitlines()[0]}"
