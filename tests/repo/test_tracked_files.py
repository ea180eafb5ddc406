"""What the repository must not hold, and what its documents must not lack."""

import re
from pathlib import Path

import pytest

from support.repository import ROOT, tracked_files

# Folders of somebody's machine, written so that this line does not match itself.
_PRIVATE = re.compile(rb"(?<![\w.])/(home|root|work|Users|builds)/\w")
_INDEX = re.compile(rb"https?://[^\s/]*/(?:\S*/)?simple\b")
_LINK = re.compile(r"\]\(([^)#:\s]+)[^):]*\)")


def test_no_file_names_a_folder_of_the_machine_it_was_made_on() -> None:
    """Nobody else has that folder."""
    assert [f for f in tracked_files() if _PRIVATE.search(f.read_bytes())] == []


def test_no_file_names_a_package_index() -> None:
    """Where packages come from is the matter of each machine."""
    assert [f for f in tracked_files() if _INDEX.search(f.read_bytes())] == []


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Within the repository; a reader follows them."""
    links = _LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
