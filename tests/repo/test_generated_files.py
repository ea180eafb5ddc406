"""What is generated agrees with what it is generated from."""

import subprocess
import sys
from pathlib import Path

from support.repository import ROOT


def generate(script: str, target: Path) -> None:
    subprocess.run((sys.executable, ROOT / script, target), check=True)


def test_the_code_of_the_kubelet_api_is_current(tmp_path: Path) -> None:
    """`make proto` would change nothing."""
    generate("core/generate_api.py", tmp_path)
    made = {file.name: file.read_bytes() for file in tmp_path.rglob("*_pb2*")}
    folder = ROOT / "core/src/nodeplug/kubelet/api"
    assert {file.name: file.read_bytes() for file in folder.glob("*_pb2*")} == made


def test_the_pages_on_configuration_and_privileges_are_current(tmp_path: Path) -> None:
    """`make docs` would change nothing."""
    generate("docs/generate.py", tmp_path)
    made = {page.name: page.read_text() for page in tmp_path.iterdir()}
    assert made.keys() == {"configuration.md", "privileges.md"}
    assert {name: (ROOT / "docs" / name).read_text() for name in made} == made
