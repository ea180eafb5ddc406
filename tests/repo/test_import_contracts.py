"""The import contracts in pyproject.toml catch what they forbid."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.repository import PLUGINS, ROOT, pyproject

VIOLATIONS = {
    "Arrows in core point one way": ("nodeplug/pool.py", "nodeplug.allocation"),
    "Core knows no backend": ("nodeplug/loader.py", "nodeplug_custom"),
    "Backends use what is made for them and nothing else of core": (
        "nodeplug_custom/__init__.py",
        "nodeplug.loader",
    ),
    "gRPC stays on the kubelet's side": ("nodeplug/supervisor/agent.py", "grpc.aio"),
    "Kernel events are read in nodeplug.host": ("nodeplug_custom/__init__.py", "pyudev"),
    "pluggy finds backends and does nothing else": ("nodeplug/cli/run.py", "pluggy"),
    "Only the command line talks to people": ("nodeplug/config/load.py", "click"),
    "YAML is read in one module": ("nodeplug/cli/config.py", "yaml"),
    "pyroute2 is used in one module": ("nodeplug_sriov_net/network.py", "pyroute2"),
    "pynvml is used in one module": ("nodeplug_nvidia_gpu/backend.py", "pynvml"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in (ROOT / "core", *PLUGINS):
        shutil.copytree(folder / "src", tmp_path, dirs_exist_ok=True)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(folder: Path) -> set[str]:
    command = Path(sys.executable).with_name("lint-imports")
    output = subprocess.run(
        (command, "--no-cache", "--no-logo"),
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(folder), "NO_COLOR": "1"},
    ).stdout
    assert "Contracts:" in output, output
    return set(re.findall(r"^(.+) BROKEN", output, re.MULTILINE))


def test_the_code_keeps_every_contract(copy: Path) -> None:
    """What the copy shows broken below is the violation's doing."""
    assert broken_contracts(copy) == set()


def test_every_contract_catches_a_violation(copy: Path) -> None:
    """One bad import for each."""
    for file, module in VIOLATIONS.values():
        with (copy / file).open("a") as source:
            source.write(f"\nimport {module}\n")
    assert broken_contracts(copy) == set(VIOLATIONS)


def test_every_contract_has_its_violation() -> None:
    """But for independence, which needs a second backend to break."""
    contracts = pyproject(ROOT)["tool"]["importlinter"]["contracts"]
    names = {contract["name"] for contract in contracts if contract["type"] != "independence"}
    assert names == set(VIOLATIONS)


def test_the_contracts_cover_every_backend() -> None:
    """A new backend is held to them too."""
    linter = pyproject(ROOT)["tool"]["importlinter"]
    modules = {f"nodeplug_{folder.name}" for folder in PLUGINS}
    named = [set(linter["root_packages"]) - {"nodeplug"}]
    for contract in linter["contracts"]:
        if contract["name"].startswith(("Core knows", "Backends")):
            fields = ("modules", "source_modules", "forbidden_modules")
            named.append({m for f in fields for m in contract.get(f, ()) if m != "nodeplug"})
    assert named == [modules] * 4
