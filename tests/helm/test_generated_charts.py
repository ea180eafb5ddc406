"""What `make charts` makes agrees with what it is made from."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nodeplug._version import __version__
from support.repository import PLUGINS, ROOT

each_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda folder: folder.name)


def test_generated_values_schemas_and_pages_are_current(tmp_path: Path) -> None:
    """`make charts` would change nothing."""
    command = (sys.executable, "-m", "helm.generator", tmp_path)
    subprocess.run(command, cwd=ROOT, check=True)
    made = {file.relative_to(tmp_path): file.read_text() for file in tmp_path.rglob("*.*")}
    assert len(made) == 2 * (len(PLUGINS) + 1) + 2
    assert {name: (ROOT / name).read_text() for name in made} == made


@each_plugin
def test_a_backend_has_a_chart_of_its_own(plugin: Path) -> None:
    """The umbrella names it, with the version that it has."""
    name = plugin.name.replace("_", "-")
    chart = (ROOT / f"helm/nodeplug/charts/{name}/Chart.yaml").read_text()
    umbrella = (ROOT / "helm/nodeplug/Chart.yaml").read_text()
    assert f"\nname: {name}\n" in chart
    assert f"- name: {name}\n" in umbrella


@pytest.mark.parametrize(
    "file", sorted(ROOT.glob("helm/**/Chart.yaml")), ids=lambda file: file.parent.name
)
def test_every_chart_has_the_version_of_the_agent(file: Path) -> None:
    """So do the charts that it asks for."""
    chart = yaml.safe_load(file.read_text())
    needed = [each["version"] for each in chart.get("dependencies", [])]
    assert {chart["version"], chart["appVersion"], *needed} == {__version__}
