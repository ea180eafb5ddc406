"""What backends add to the command line."""

import json
from pathlib import Path

import pytest

from support.command import nodeplug, write_config
from support.packages import install

LAMPS = """
from dataclasses import replace
from nodeplug.backend import Command, Translation, Verdict
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.section import Section
from support.awkward.backend import SPEC as AWKWARD
from nodeplug.backend import hookimpl

def measure(arguments):
    if arguments[0] == "dark":
        raise InvalidValueError("it is dark")
    return {"lamp": arguments[0], "watts": 60}

async def explain(settings, host):
    return [Verdict("lamp1", "example.com/lamp", False, "is switched off")]

SPEC = replace(
    AWKWARD, name="lamps", explain=explain,
    commands=[Command("lamp", "measure", "Measure a lamp.", ["NAME"], measure)],
    reader=lambda document: Translation(
        section={}, refused=["a: bad"], ignored=["b: unused"], notes=["c: so"]
    ),
)

@hookimpl
def nodeplug_backend():
    return SPEC
"""


@pytest.fixture(name="site")
def _site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    install(folder, "lamps", LAMPS)
    return folder


def test_a_backend_s_command_prints_its_facts(site: Path) -> None:
    """As a table or as JSON, like every other."""
    result = nodeplug("lamp", "measure", "blue", "--output", "json", site=site)
    assert json.loads(result.out) == {"lamp": "blue", "watts": 60}
    assert "blue" in nodeplug("lamp", "measure", "blue", site=site).out
    assert "lamp " in nodeplug("--help", site=site).out


def test_what_a_backend_s_command_cannot_do_is_one_line(site: Path) -> None:
    """Exit code 1."""
    result = nodeplug("lamp", "measure", "dark", site=site)
    assert (result.code, result.err) == (1, "nodeplug: it is dark\n")


def test_explain_shows_what_is_not_served_and_why(site: Path) -> None:
    """In the words of the backend."""
    result = nodeplug("devices", "--backend", "lamps", "--explain", "--output", "json", site=site)
    assert [(v["device"], v["served"], v["reason"]) for v in json.loads(result.out)] == [
        ("lamp1", False, "is switched off")
    ]


def test_config_check_reads_another_plugin_s_file(site: Path, tmp_path: Path) -> None:
    """What is refused is an error, what is ignored is told."""
    file = write_config(tmp_path, {})
    result = nodeplug("config", "check", f"lamps={file}", site=site)
    assert (result.code, result.err) == (2, f"{file}: a: bad\n")
    assert result.out == f"ignored: {file}: b: unused\nnote: {file}: c: so\n"


def test_another_plugin_s_file_needs_its_backend(tmp_path: Path) -> None:
    """A name that is not served is a slip of the pen."""
    file = write_config(tmp_path, {})
    result = nodeplug("run", "--backend", "custom", "--config", f"lamps={file}")
    assert result.code == 2
    assert "--backend lamps is not given" in result.err
