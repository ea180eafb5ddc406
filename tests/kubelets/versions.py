"""The versions of Kubernetes whose own device manager judges our tests."""

import os
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from support.repository import ROOT

# The oldest and the newest that we support; NODEPLUG_KUBELETS="1.35 1.36" names others.
DEFAULT = ("1.34", "1.37")
VERSIONS = tuple(os.environ.get("NODEPLUG_KUBELETS", " ".join(DEFAULT)).split())


def binary(version: str) -> Path:
    """Return where `make kubelets` puts the program of a version."""
    return ROOT / ".tools" / f"kubelet-{version}"


@cache
def why_not(version: str) -> str:
    """Return what is missing to run a version; "" if nothing is."""
    program = binary(version)
    if not program.exists():
        return f"there is no kubelet {version}: `make kubelets` builds it, with Go"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(program), folder]
        # It ends with its input, which has nothing.
        tried = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    return f"kubelet {version} does not start here: {tried.stderr}" if tried.returncode else ""
