"""The Go program that reads documents as others do."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from support.needs import require

TOOLS = Path(__file__).parents[2] / ".tools"
_CHROOT = shutil.which("chroot", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or "chroot"
VERSIONS = [path.stem.removeprefix("cdi-") for path in Path(__file__).parent.glob("go/cdi-*.mod")]


def readings(
    command: str, inputs: Iterable[str], version: str, root: Path | None = None
) -> Sequence[dict[str, Any]]:
    """Return what a library makes of each input: a `value`, or an `error`.

    With a `root`, paths are those in there, as for a process of another host; that needs root.
    """
    program = TOOLS / f"readers-{version}"
    require(program.exists(), f"{program.name} is not built: make readers (needs Go)")
    wanted = json.dumps([*inputs])
    words = [str(program), command]
    if root is not None:
        shutil.copy(program, root / "program")
        words = [_CHROOT, str(root), "/program", command]
    done = subprocess.run(words, input=wanted, capture_output=True, text=True, check=True)
    found: Sequence[dict[str, Any]] = json.loads(done.stdout)
    return found
