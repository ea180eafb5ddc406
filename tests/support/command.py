"""The command line, run as users run it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import yaml


class Result(NamedTuple):
    code: int
    out: str
    err: str


def nodeplug(*arguments: str, site: Path | None = None) -> Result:
    """Run a command to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "nodeplug", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(site),
    )
    return Result(done.returncode, done.stdout, done.stderr)


def environment(site: Path | None) -> dict[str, str]:
    """Return an environment in which packages of this folder are installed."""
    tests = str(Path(__file__).parents[1])
    paths = [str(site)] if site else []
    return os.environ | {"PYTHONPATH": os.pathsep.join([*paths, tests])}


def write_config(folder: Path, content: object) -> Path:
    file = folder / "nodeplug.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def log_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
