"""The judges of double use share nothing with what they judge."""

import ast
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

_TABLE = ("nodeplug.values.hardware", "nodeplug.host.hardware", "nodeplug.holdings")
_LEDGER = "nodeplug.host.ledger"
_GRAPH = grimp.build_graph("nodeplug")


@pytest.mark.parametrize("table", [*_TABLE, _LEDGER])
def test_the_kubelet_imports_nothing_of_the_agents_table_of_hardware(table: str) -> None:
    """Neither itself nor by anything else: a mistake there must not hide itself here."""
    if table in _GRAPH.modules:
        judge = "nodeplug.testing.kubelet"
        assert _GRAPH.find_shortest_chain(judge, table, as_packages=True) is None


def test_the_campaign_imports_nothing_of_it() -> None:
    """What it imports besides is what it drives: the agent, backends, simulators."""
    for file in Path(__file__).parent.glob("*.py"):
        for name in _imported(file):
            assert not name.startswith((*_TABLE, _LEDGER)), f"{file}: {name}"


def test_the_model_knows_nothing_of_the_agent() -> None:
    """What must be true is worked out from what was done."""
    names = {*_imported(Path(__file__).with_name("truth.py"))}
    assert not [name for name in names if name.startswith("nodeplug.")]


def _imported(file: Path) -> Iterator[str]:
    for each in ast.walk(ast.parse(file.read_text())):
        if isinstance(each, ast.ImportFrom):
            yield from (f"{each.module}.{alias.name}" for alias in each.names)
        elif isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
