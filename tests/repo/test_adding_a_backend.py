"""The package in docs/adding-a-backend.md works as it stands, beside one that does not."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.packages import install
from support.repository import ROOT

PAGE = (ROOT / "docs/adding-a-backend.md").read_text()
FILES = dict(re.findall(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))


pytestmark = pytest.mark.xdist_group("adding a backend")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package and its broken sibling into a folder of their own."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, content in FILES.items():
        (source / name).write_text(content)
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", str(site))
    run(site, "pip", "install", *options, str(source))
    install(site, "broken", "import no_such_library")
    return site


def run(site: Path, *arguments: str) -> str:
    done = subprocess.run(
        (sys.executable, "-m", *arguments),
        cwd=site,
        env=os.environ | {"PYTHONPATH": str(site)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_json(site: Path, *arguments: str) -> Any:
    return json.loads(run(site, "nodeplug", *arguments, "--output", "json"))


def test_the_example_takes_fewer_than_fifty_lines() -> None:
    """Blank ones aside."""
    assert len([line for line in FILES["lamps.py"].splitlines() if line]) < 50


def test_the_example_is_installed_and_its_broken_sibling_is_named(site: Path) -> None:
    """A stranger's package is as good as ours."""
    found = {entry["name"]: entry for entry in run_json(site, "backends")}
    assert (found["lamps"]["version"], found["broken"]["present"]) == ("1.0", "broken")
    assert found["lamps"]["present"] in {"yes", "no"}


def test_the_example_shows_the_devices_of_a_host(site: Path, tmp_path: Path) -> None:
    """Found below the host root that the configuration names."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/lamp7").touch()
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"host": {"root": str(tmp_path)}}))
    devices = run_json(site, "devices", "--backend", "lamps", "--config", str(file))
    assert [(d["id"], d["resource"], d["nodes"]) for d in devices] == [
        ("lamp7", "example.com/lamp", ["/dev/lamp7"])
    ]


def test_the_example_is_served_and_allocated(site: Path) -> None:
    """All checks of the main job hold with it."""
    walked = run_json(site, "simulate", "--backend", "lamps")
    assert (walked["held"], walked["of"], walked["backends"]) == (6, 6, ["lamps"])


def test_the_example_passes_the_contract_suite(site: Path, tmp_path: Path) -> None:
    """By the test module that the page shows."""
    test = tmp_path / "test_lamps.py"
    test.write_text(FILES["test_lamps.py"])
    options = ("-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path))
    assert re.search(r"^\d+ passed in ", run(site, "pytest", *options, str(test)), re.MULTILINE)
