"""The repository that the tests stand in."""

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from support.needs import require

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted(file.parent for file in ROOT.glob("plugins/*/pyproject.toml"))


def tracked_files() -> list[Path]:
    """Return every file under version control that is there."""
    require(shutil.which("git") is not None and (ROOT / ".git").exists(), "this is no git clone")
    command = ("git", "-c", f"safe.directory={ROOT}", "ls-files", "-z")
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in output.split("\0") if name and (ROOT / name).is_file()]


def pyproject(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())
