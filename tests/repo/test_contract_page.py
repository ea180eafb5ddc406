"""docs/kubelet-contract.md tells what the code and the tests are about."""

import re

from support.repository import PLUGINS, ROOT

PAGE = (ROOT / "docs/kubelet-contract.md").read_text()


def test_every_rule_named_in_the_code_is_described() -> None:
    """A reader who meets "R24" can look it up."""
    described = set(re.findall(r"^\| (R\d+) \|", PAGE, re.MULTILINE))
    named = {
        rule
        for folder in (ROOT / "core", *PLUGINS)
        for file in folder.rglob("*.py")
        for rule in re.findall(r"\bR\d{1,3}\b", file.read_text())
    }
    assert named - described == set()


def test_every_place_named_for_a_rule_exists() -> None:
    """Modules move; the page must follow."""
    cells = re.findall(r"^\| R\d+ \|.* \| ([^|]*) \|$", PAGE, re.MULTILINE)
    places = {place for cell in cells for place in re.findall(r"`([^`]+)`", cell)}
    core = ROOT / "core/src/nodeplug"
    paths = {place: core / place.replace(".", "/") for place in places}
    missing = {n for n, p in paths.items() if not (p.is_dir() or p.with_suffix(".py").exists())}
    assert missing == set()


def test_every_promise_has_a_test_and_every_test_its_promise() -> None:
    """Found by name."""
    promised = {int(number) for number in re.findall(r"^\| C(\d+) \|", PAGE, re.MULTILINE)}
    tested = {
        int(number)
        for file in ROOT.glob("tests/contract/*.py")
        for number in re.findall(r"^(?:async )?def test_c(\d+)_", file.read_text(), re.MULTILINE)
    }
    assert tested == promised
