"""Processes that have little: Python with little memory, this one without descriptors."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def with_memory(kibibytes: int, folder: Path) -> str:
    """Return an interpreter whose address space is limited."""
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nulimit -v {kibibytes} && exec {sys.executable} "$@"\n')
    python.chmod(0o700)
    return str(python)


@contextmanager
def without_descriptors() -> Iterator[None]:
    """Let this process open nothing."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
