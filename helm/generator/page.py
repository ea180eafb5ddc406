"""docs/charts.md: every value of every chart."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from helm.generator.values import Properties, dashed, source, subchart, umbrella

_HEAD = """\
# Values of the charts

This page is made by `make charts`. [deployment.md](deployment.md) tells how to use them.

Unknown keys are refused, except in `global`, which charts of others may share.
"""


def render(names: Iterable[str]) -> str:
    """Return the page."""
    charts = {dashed(name): subchart(name) for name in names}
    agent = charts["custom"]
    lines = [_HEAD, "## `nodeplug`\n", *_table(umbrella(charts))]
    lines += ["## `global.nodePools.<name>`\n", *_table(source("pool"))]
    lines += ["## The chart of each backend\n", *_table(agent)]
    lines += ["## `foreign.<name>`, besides\n", *_table(source("foreign"))]
    return "\n".join(lines)


def _table(properties: Properties) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    yield from _rows(properties, "")
    yield ""


def _rows(properties: Properties, prefix: str) -> Iterator[str]:
    for key, value in properties.items():
        name = f"{prefix}{key}"
        default = f"`{json.dumps(value['default'])}`" if "default" in value else ""
        yield f"| `{name}` | {_type(value)} | {default} | {value['description']} |"
        if name != "combined":
            yield from _rows(value.get("properties", {}), f"{name}.")
            yield from _rows(value.get("items", {}).get("properties", {}), f"{name}[].")


def _type(value: dict[str, Any]) -> str:
    if "enum" in value:
        return " or ".join(f"`{each}`" for each in value["enum"])
    return {"array": "list", "object": "map"}.get(value["type"], str(value["type"]))
