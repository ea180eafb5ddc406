"""Several files, and what holds on one node alone."""

from pathlib import Path

import pytest
import yaml

from nodeplug.config.load import Configuration, NodeFacts, Source, load_configuration
from nodeplug.config.merge import merge
from nodeplug.values.errors import ConfigError
from support.awkward.backend import SPEC, Settings


def load(tmp_path: Path, *documents: object, node: NodeFacts | None = None) -> Configuration:
    files = []
    for number, document in enumerate(documents):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump(document))
    return load_configuration([Source(file) for file in files], {"awkward": SPEC}, node)


def test_mappings_merge_lists_stack_and_values_yield() -> None:
    """What comes later wins; in a list it comes first."""
    base = {"a": {"x": 1, "y": 2}, "l": [1], "v": "old"}
    assert merge(base, {"a": {"y": 3}, "l": [2], "v": "new"}) == {
        "a": {"x": 1, "y": 3},
        "l": [2, 1],
        "v": "new",
    }


def test_a_later_file_wins(tmp_path: Path) -> None:
    """A base from the chart, a change from the operator."""
    loaded = load(
        tmp_path,
        {"log": {"level": "debug"}, "backends": {"awkward": {"domain": "a.b"}}},
        {"backends": {"awkward": {"domain": "c.d"}}},
    )
    assert (loaded.agent.log.level, loaded.sections["awkward"]) == ("debug", Settings(domain="c.d"))


def test_a_section_may_come_from_two_files(tmp_path: Path) -> None:
    """It is judged as a whole, and an error names both."""
    loaded = load(tmp_path, {"backends": {}}, {"backends": {"awkward": {"domain": [3]}}})
    assert "0.yaml + " in str(loaded.errors[0])


@pytest.mark.parametrize(
    ("override", "holds"),
    [
        ({"names": ["edge-*"]}, True),
        ({"names": ["core-*", "edge-7"]}, True),
        ({"names": ["core-*"]}, False),
        ({"labels": {"pool": "edge"}}, True),
        ({"labels": {"pool": "core"}}, False),
        ({"names": ["edge-*"], "labels": {"pool": "core"}}, False),
    ],
)
def test_an_override_holds_on_the_nodes_it_names(
    tmp_path: Path,
    override: dict[str, object],
    holds: bool,  # noqa: FBT001 - a parameter of the table
) -> None:
    """By name, by label, by both."""
    config = {"backends": {"awkward": {"domain": "here.only"}}}
    node = NodeFacts("edge-7", {"pool": "edge"})
    loaded = load(tmp_path, {"nodes": [override | {"config": config}]}, node=node)
    assert (loaded.sections["awkward"] == Settings(domain="here.only")) is holds


def test_an_override_s_rules_come_before_those_for_all_nodes(tmp_path: Path) -> None:
    """The first rule that matches a device holds."""
    everywhere, here = ({"resource": "a.b/c", "rename": f"{name}.d/c"} for name in ("all", "here"))
    override = {"names": ["n"], "config": {"offers": [here]}}
    loaded = load(tmp_path, {"offers": [everywhere], "nodes": [override]}, node=NodeFacts("n"))
    assert [rule.rename for rule in loaded.agent.offers] == ["here.d/c", "all.d/c"]


def test_an_override_for_another_node_is_checked_too(tmp_path: Path) -> None:
    """A mistake shows before it reaches that node."""
    override = {"names": ["other"], "config": {"log": {"level": "loud"}}}
    with pytest.raises(ConfigError, match=r"0\.yaml: nodes\[0\]\.config\.log\.level: "):
        load(tmp_path, {"nodes": [override]}, node=NodeFacts("n"))
