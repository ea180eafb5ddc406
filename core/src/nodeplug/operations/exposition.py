"""Families as text: the Prometheus format 0.0.4 and OpenMetrics 1.0."""

import asyncio
from collections.abc import Iterable

from nodeplug.meters.family import Family, Sample

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

# So many lines are made without a pause: under a millisecond of the event loop.
_LINES_AT_ONCE = 250
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


async def render(families: Iterable[Family], content_type: str) -> bytes:
    """Return the text of all families that have samples, in one of the two formats.

    The event loop runs on meanwhile.
    """
    openmetrics = content_type == OPENMETRICS
    lines: list[str] = []
    for family in families:
        lines += _head(family, openmetrics=openmetrics)
        for number, sample in enumerate(family.samples, 1):
            lines.append(_line(family, sample))
            if number % _LINES_AT_ONCE == 0:
                await asyncio.sleep(0)
    if openmetrics:
        lines.append("# EOF\n")
    return "".join(lines).encode()


def _head(family: Family, *, openmetrics: bool) -> list[str]:
    name, kind = family.name, str(family.kind)
    if not openmetrics:
        # The older format knows no info, and names a counter as its samples are named.
        name += {"counter": "_total", "info": "_info"}.get(kind, "")
        kind = "gauge" if kind == "info" else kind
    about = family.help.translate(_ESCAPES) if openmetrics else family.help
    return [f"# HELP {name} {about}\n", f"# TYPE {name} {kind}\n"]


def _line(family: Family, sample: Sample) -> str:
    labels = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in sample.labels)
    value = int(sample.value) if sample.value == int(sample.value) else sample.value
    shown = f"{{{labels}}}" if labels else ""
    return f"{family.name}{sample.suffix}{shown} {value}\n"
