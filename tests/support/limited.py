"""Python for processes that have little memory."""

import sys
from pathlib import Path


def with_memory(kibibytes: int, folder: Path) -> str:
    """Return an interpreter whose address space is limited."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nulimit -v {kibibytes} && exec {sys.executable} "$@"\n')
    python.chmod(0o700)
    return str(python)
