"""What is served is what Prometheus' own parsers read."""

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from nodeplug.meters.family import Counter, Family, Histogram, Sample
from nodeplug.operations.exposition import OPENMETRICS, PROMETHEUS, render

values = st.text(st.characters(exclude_categories=["Cs"]))


async def text(families: list[Family], kind: str) -> str:
    return (await render(families, kind)).decode()


def family_of_each_kind() -> list[Family]:
    counter = Counter("lamp_failures", 'Lamps that "broke".', ("room",))
    counter.add("hall")
    counter.add("hall", amount=2)
    histogram = Histogram("lamp_start_seconds", "Time to light.", (0.5, 1.0), ("room",))
    for seconds in (0.25, 0.75, 5):
        histogram.observe(seconds, "hall")
    gauge = Family("lamp_watts", "gauge", "Power.", [Sample("", (("room", "hall"),), 60.5)])
    info = Family("lamp_build", "info", "Maker.", [Sample("_info", (("maker", "x"),), 1)])
    return [counter.family(), histogram.family(), gauge, info]


async def test_the_official_parsers_read_both_formats_alike() -> None:
    """Counter, histogram, gauge and info."""
    expected = {
        ("lamp_failures_total", "hall", 3),
        ("lamp_start_seconds_count", "hall", 3),
        ("lamp_start_seconds_sum", "hall", 6),
        ("lamp_watts", "hall", 60.5),
    }
    for kind, parse in ((PROMETHEUS, parse_text), (OPENMETRICS, parse_openmetrics)):
        samples = [s for f in parse(await text(family_of_each_kind(), kind)) for s in f.samples]
        found = {(s.name, s.labels.get("room"), s.value) for s in samples}
        assert expected <= found
        buckets = [s.value for s in samples if s.name == "lamp_start_seconds_bucket"]
        assert buckets == [1, 2, 3]
        assert ("lamp_build_info", None, 1) in found


@given(value=values, about=values.filter(lambda text: "\n" not in text))
async def test_no_text_of_a_device_breaks_the_format(value: str, about: str) -> None:
    """Line ends, quotes and backslashes come back as they were."""
    family = Family("lamp", "gauge", about, [Sample("", (("name", value),), math.pi)])
    [read] = parse_text(await text([family], PROMETHEUS))
    assert [(s.labels, s.value) for s in read.samples] == [({"name": value}, math.pi)]
    [read] = parse_openmetrics(await text([family], OPENMETRICS))
    assert [(s.labels, s.value) for s in read.samples] == [({"name": value}, math.pi)]
