"""The Go program that reads documents as others do."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from support.needs import require

TOOLS = Path(__file__).parents[2] / ".tools"
VERSIONS = [path.stem.removeprefix("cdi-") for path in Path(__file__).parent.glob("go/cdi-*.mod")]


def readings(command: str, inputs: Iterable[str], version: str) -> Sequence[dict[str, Any]]:
    """Return what a library makes of each input: a `value`, or an `error`."""
    program = TOOLS / f"readers-{version}"
    require(program.exists(), f"{program.name} is not built: make readers (needs Go)")
    wanted = json.dumps([*inputs])
    done = subprocess.run(
        [program, command], input=wanted, capture_output=True, text=True, check=True
    )
    found: Sequence[dict[str, Any]] = json.loads(done.stdout)
    return found
