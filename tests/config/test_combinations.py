"""Which overrides may hold on one node together."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nodeplug.config import combinations as module
from nodeplug.config.combinations import combinations
from nodeplug.config.load import Configuration, Source, load_combinations
from nodeplug.config.settings import NodeOverride


def over(names: list[str] | None = None, **labels: str) -> NodeOverride:
    return NodeOverride(names=None if names is None else tuple(names), labels=labels)


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ([], [()]),
        ([over(["worker-*"])], [(), (0,)]),
        ([over(["a"]), over(["b"])], [(), (0,), (1,)]),
        ([over(["a*"]), over(["b*"])], [(), (0,), (1,)]),
        ([over(["a*"]), over(["*b"])], [(), (0,), (1,), (0, 1)]),
        ([over(zone="a"), over(zone="b")], [(), (0,), (1,)]),
        ([over(zone="a"), over(pool="b")], [(), (0,), (1,), (0, 1)]),
        # A node of the first has the second, too.
        ([over(["a1"]), over(["a*"])], [(), (1,), (0, 1)]),
        ([over(zone="a", pool="b"), over(zone="a")], [(), (1,), (0, 1)]),
        ([over(["a"]), over()], [(1,), (0, 1)]),
    ],
)
def test_what_may_hold_together_is_found(
    overrides: list[NodeOverride], found: list[tuple[int, ...]]
) -> None:
    """What no node can have together is not tried; what it must have always is."""
    assert sorted(combinations(overrides), key=lambda each: (len(each), each)) == found


patterns = st.sampled_from(["a", "b", "ab", "a*", "*b", "?b", "*", "[ab]*"])
overrides = st.lists(
    st.builds(
        lambda names, labels: NodeOverride(names=names, labels=labels),
        st.none() | st.lists(patterns, min_size=1, max_size=2).map(tuple),
        st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["1", "2"]), max_size=2),
    ),
    max_size=5,
)
NODES = [
    (name, {"x": x, "y": y})
    for name, x, y in product(["", "a", "b", "ab", "bb", "abb", "c"], "123", "123")
]


def _holds(each: NodeOverride, name: str, labels: Mapping[str, str]) -> bool:
    named = each.names is None or any(fnmatchcase(name, pattern) for pattern in each.names)
    return named and each.labels.items() <= labels.items()


@given(overrides)
def test_no_node_has_a_combination_that_is_not_tried(found: list[NodeOverride]) -> None:
    """Whatever names and labels it has."""
    tried = set(combinations(found))
    for name, labels in NODES:
        has = tuple(n for n, each in enumerate(found) if _holds(each, name, labels))
        assert has in tried


def test_of_very_many_combinations_pairs_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty independent labels would make a million."""
    monkeypatch.setattr(module, "_LIMIT", 50)
    found = combinations([NodeOverride(labels={f"label-{n}": "x"}) for n in range(20)])
    assert len(found) == 1 + 20 + 20 * 19 // 2


def said(tmp_path: Path, document: Mapping[str, Any]) -> dict[str, str]:
    file = tmp_path / "c.yaml"
    file.write_text(yaml.safe_dump(document))
    return {
        origin.name: "" if isinstance(result, Configuration) else str(result)
        for origin, result in load_combinations(Source(file), {})
    }


def test_what_contradicts_on_some_nodes_is_found(tmp_path: Path) -> None:
    """Each by itself is right."""

    def renamed(resource: str) -> dict[str, Any]:
        return {"offers": [{"resource": resource, "rename": "a.b/c"}]}

    document = {
        **renamed("a.b/base"),
        "nodes": [
            {"names": ["worker-*"], "config": renamed("a.b/other")},
            {"names": ["worker-1"], "config": {"log": {"level": "debug"}}},
            {"names": ["edge-*"], "config": {"log": {"level": "debug"}}},
        ],
    }
    found = said(tmp_path, document)
    wrong = {name for name, error in found.items() if "would both be a.b/c" in error}
    assert wrong == {"c.yaml with nodes[0]", "c.yaml with nodes[0] and nodes[1]"}
    assert {"c.yaml", "c.yaml with nodes[2]"} <= found.keys() - wrong
