"""values.schema.json: self-contained, closed except for `global` and the library's key."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from helm.generator.values import Properties, source, world

from nodeplug.backend import BackendSpec
from nodeplug.config.load import schema

_OWN = "#/$defs/AgentSettings"
_OPEN = "#/$defs/PoolConfiguration"


def subchart(properties: Properties, spec: BackendSpec) -> dict[str, Any]:
    """Return the schema of a chart for one backend, which knows no other backend's section."""
    properties = deepcopy(properties)
    properties["config"]["$ref"] = _OWN
    return _document(properties, {spec.name: spec}, is_open=False)


def umbrella(properties: Properties, specs: Mapping[str, BackendSpec]) -> dict[str, Any]:
    """Return the schema of the umbrella; the charts below it check their own values."""
    properties = deepcopy(properties)
    properties["combined"]["properties"]["config"]["$ref"] = _OPEN
    properties["foreign"]["additionalProperties"]["properties"]["config"]["$ref"] = _OPEN
    return _document(properties, specs, is_open=True)


def _document(
    properties: Properties, specs: Mapping[str, BackendSpec], *, is_open: bool
) -> dict[str, Any]:
    document = schema(specs)
    definitions = document["$defs"]
    definitions["PoolConfiguration"] = deepcopy(definitions["AgentSettings"])
    for name in ("AgentSettings", "PoolConfiguration"):
        backends = definitions[name]["properties"]["backends"]
        backends["additionalProperties"] = {"type": "object"} if name in _OPEN else False
    definitions["NodeOverride"]["properties"]["config"]["$ref"] = _OPEN
    if is_open:
        del definitions["AgentSettings"]
    library = {"type": "object", "description": "Nothing; Helm puts `global` here."}
    whole = {
        "$schema": document["$schema"],
        "title": "Values of the chart",
        "type": "object",
        "properties": {**properties, "global": _global(), "nodeplug-lib": library},
        "$defs": definitions,
    }
    closed: dict[str, Any] = _closed(whole)
    return closed


def _global() -> dict[str, Any]:
    """Return what all charts of a release see: open, but for the node pools."""
    pool = source("pool")
    pool["config"]["$ref"] = _OPEN
    found = world()
    pools = found["properties"]["nodePools"]
    pools["additionalProperties"] = {
        "type": "object",
        "required": ["backends"],
        "properties": pool,
    }
    return {**found, "additionalProperties": True}


def _closed(node: Any) -> Any:
    """Close each object, so that a message names both the place and the keys that there are."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, dict):
        return node
    node = {key: value if key == "default" else _closed(value) for key, value in node.items()}
    if node.get("type") == "object" and isinstance(node.get("properties"), dict):
        node.setdefault("additionalProperties", False)
        if node["additionalProperties"] is False:
            node["propertyNames"] = {"enum": list(node["properties"])}
    return node
