"""Every backend is complete, and the members agree with each other."""

import re
from pathlib import Path
from typing import Any

import pytest

from nodeplug._version import __version__
from nodeplug.config.load import schema
from nodeplug.loader import installed, load
from support.repository import PLUGINS, ROOT, pyproject

each_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda folder: folder.name)


def project(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = pyproject(folder)["project"]
    return found


@each_plugin
def test_one_word_runs_through_everything(plugin: Path) -> None:
    """Folder, distribution, package and entry point."""
    word = plugin.name
    assert project(plugin)["name"] == f"nodeplug-{word.replace('_', '-')}"
    assert project(plugin)["entry-points"] == {
        "nodeplug.backends": {word: f"nodeplug_{word}.plugin"}
    }
    assert [point.module for point in installed()[word]] == [f"nodeplug_{word}.plugin"]


@each_plugin
def test_a_backend_has_a_page_tests_types_and_a_row(plugin: Path) -> None:
    """What a newcomer looks for."""
    assert (plugin / "README.md").stat().st_size
    assert (plugin / f"src/nodeplug_{plugin.name}/py.typed").exists()
    assert any((ROOT / "tests" / plugin.name).glob("test_*.py"))
    row = rf"^\| \[`{plugin.name}`\]\(plugins/{plugin.name}/README\.md\) \| .+ \|$"
    assert re.search(row, (ROOT / "README.md").read_text(), re.MULTILINE)


@each_plugin
def test_every_setting_of_a_backend_is_described(plugin: Path) -> None:
    """In the schema, and so on the page made from it."""
    document = schema({plugin.name: load(plugin.name)})
    properties = {
        f"{name}.{key}": value.get("description") or "$ref" in value
        for name, definition in document["$defs"].items()
        for key, value in definition["properties"].items()
    }
    assert [key for key, described in properties.items() if not described] == []


@each_plugin
def test_a_backend_takes_the_core_it_is_developed_with_and_no_next_minor(plugin: Path) -> None:
    """One version for all members, one compatible range of core."""
    major, minor, _ = __version__.split(".")
    assert project(plugin)["version"] == __version__
    assert f"nodeplug>={major}.{minor},<{major}.{int(minor) + 1}" in project(plugin)["dependencies"]


def test_one_command_installs_every_member_for_development() -> None:
    """And installs it editable."""
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    editable = [line for line in lines if line.startswith("-e")]
    assert editable == ["-e ./core", *(f"-e ./plugins/{folder.name}" for folder in PLUGINS)]


def test_everything_installed_directly_is_pinned() -> None:
    """What was tested can be installed again."""
    pinned = {normal(pin) for pin in (ROOT / "constraints.txt").read_text().splitlines()}
    lines = (ROOT / "requirements-dev.txt").read_text().splitlines()
    wanted = {normal(line) for line in lines if line[:1] not in {"-", "#"}}
    for folder in (ROOT / "core", *PLUGINS):
        wanted |= {normal(each) for each in project(folder)["dependencies"]}
    assert wanted - {"nodeplug"} - pinned == set()


def test_pins_name_versions_and_nothing_else() -> None:
    """No address of an index, which others could not reach."""
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)] == []


def normal(requirement: str) -> str:
    return re.split(r"[=<>!~\[ ;]", requirement)[0].lower().replace("_", "-")
