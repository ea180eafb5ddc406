"""docs/kubelet-versions.md tells of each difference that a test shows, and of no other."""

import re
from pathlib import Path

from support.repository import ROOT

PAGE = (ROOT / "docs/kubelet-versions.md").read_text()
ROWS = re.findall(r"^\| (R\d+) \|.*\| ([^|]+) \|$", PAGE, re.MULTILINE)


def names_in(pattern: str) -> set[str]:
    texts = [file.read_text() for file in Path(__file__).parent.glob(pattern)]
    return {
        name for text in texts for name in re.findall(r"^async def (test_\w+)", text, re.MULTILINE)
    }


def test_every_row_names_a_test_that_there_is() -> None:
    """What nobody has seen is no row."""
    named = [set(re.findall(r"`(test_\w+)`", cell)) for _, cell in ROWS]
    assert all(named)
    assert set().union(*named) <= names_in("test_*.py")


def test_every_difference_that_a_test_shows_is_a_row() -> None:
    """A reader of the page knows all that we know."""
    shown = names_in("test_version_differences*.py")
    assert {name for name in shown if f"`{name}`" not in PAGE} == set()


def test_every_rule_of_a_row_is_in_the_contract() -> None:
    """By the same number."""
    contract = (ROOT / "docs/kubelet-contract.md").read_text()
    assert [rule for rule, _ in ROWS if f"| {rule} |" not in contract] == []
