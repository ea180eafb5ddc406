"""What our reader and that of Kubernetes make of the same YAML, and where they differ."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from nodeplug.config.document import parse_document
from nodeplug.values.errors import ConfigError
from readers.program import VERSIONS, readings

ROOT = Path(__file__).parents[2]
REFUSED = "refused"

ALIKE = [
    *("0000:03:02.0", "0000:05:00.0", "12:34:56:18:09:50", "190:20:30", "1:59", "01:02:03"),
    *("1.2.3", "v1", "1,2", "..", ".", "-", "=", "- a", "a #b", "a#b", "#a", "a:b", "NULL1"),
    *("true", "True", "TRUE", "tRUE", "false", "False", "FALSE", "TrUe", "truE", "nil", "none"),
    *("null", "Null", "NULL", "~", "", "nULL", "0", "-1", "8086", "12345678901234567", "1.5"),
    *("-2.25", "0.0", "1.0", "0x", "0o8", "0b2", "1-2", "Infinity", "NaN", "inf", "nan"),
    *("2024-01-01", "2024-99-99", "2001-12-14t21:59:43.10-05:00", "12:00", "é", "'é'", "😀"),
    *("'8086'", '"8086"', "'true'", '"null"', "'it''s'", '"a\\tb"', '"\\u00e9"', '"\\x41"'),
    *("'#'", "'a: b'", "{a: b}", "{a: {b: 1}}", "[a, b]", "[1, 2,]", "{b: 1,}", "{b}", "[b: 1]"),
    *("[]", "{}", "[[]]", "[{}]", "!!str 1", "!!str on", "!!int '1'", "!!null ''", "&x a"),
    *("|\n  a\n  b\n", ">\n  a\n  b\n", "|-\n  a", "|+\n  a\n\n", ">-\n  a\n\n  b", "'x\n  y'"),
    *("\n  b: 1\n  c: 2", "\n- b\n- c", "\n  - b\n  - c: 1\n    d: 2", "\n  ? b\n  : c"),
    *("@a", "%a", "`a", "*a", "b: c", "{b", "[b", "'b", '"b', "\n\t- b", "\a", "\0", "&x [*x"),
    *("1\nb: &x [1]\nc: *x", "&x {c: 1}\nb: {<<: *x}"),
    *("1\na: 2", "{b: 1, b: 2}", "1\n...", "1\n# end", "1\n1: b", "1\ntrue: b", "1\n1.5: b"),
]

ROW = re.compile(r"\| `(.*)` \| (\S.*) \| (\S.*) \|")
DIFFERENT = ROW.findall((ROOT / "docs/yaml.md").read_text())


def ours(value: str) -> object:
    try:
        return parse_document(f"a: {value}".encode(), Path("c.yaml"), typed=True)
    except ConfigError:
        return REFUSED


def theirs(values: Iterable[str]) -> Sequence[object]:
    found = readings("yaml", [f"a: {value}" for value in values], max(VERSIONS))
    return [each.get("value", REFUSED) for each in found]


def written(cell: str) -> object:
    """Return what a cell of the table says."""
    return REFUSED if cell == REFUSED else {"a": json.loads(cell.strip("`"))}


def kinds(document: object) -> str:
    """Return what tells 1 from true, which are equal in Python, and not 1 from 1.0."""
    if isinstance(document, dict):
        return repr(sorted((str(k).lower(), kinds(v)) for k, v in document.items()))
    if isinstance(document, list):
        return repr([kinds(each) for each in document])
    if isinstance(document, float | int) and not isinstance(document, bool):
        return repr(float(document))
    return repr(document)


def test_most_values_are_read_alike() -> None:
    """Whoever knows one reader knows the other, but for the table."""
    found = {v: (kinds(ours(v)), kinds(t)) for v, t in zip(ALIKE, theirs(ALIKE), strict=True)}
    assert {value: both for value, both in found.items() if both[0] != both[1]} == {}


@pytest.mark.parametrize(("value", "here", "there"), DIFFERENT)
def test_the_table_says_what_is_read_otherwise(value: str, here: str, there: str) -> None:
    """By both readers."""
    [other] = theirs([value])
    assert (kinds(ours(value)), kinds(other)) == (kinds(written(here)), kinds(written(there)))
    assert kinds(ours(value)) != kinds(other)


@pytest.mark.parametrize("value", ["1\n---\nb: 2", "1\n---\n["], ids=["another", "torn"])
def test_what_follows_the_first_document_is_refused_here_alone(value: str) -> None:
    """Kubernetes' reader does not look at it."""
    assert (ours(value), theirs([value])) == (REFUSED, [{"a": 1}])


def test_what_is_merged_can_be_said_otherwise_here_alone() -> None:
    """As the type of merge keys has it; to the other that is a key given twice."""
    value = "&x {c: 1, d: 2}\nb: {c: 3, <<: *x}"
    assert ours(value) == {"a": {"c": 1, "d": 2}, "b": {"c": 3, "d": 2}}
    assert theirs([value]) == [REFUSED]
