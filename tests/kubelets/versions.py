"""The versions of Kubernetes whose own device manager judges our tests."""

import os
from pathlib import Path

from support.repository import ROOT

# The oldest and the newest that we support; NODEPLUG_KUBELETS="1.35 1.36" names others.
DEFAULT = ("1.34", "1.37")
VERSIONS = tuple(os.environ.get("NODEPLUG_KUBELETS", " ".join(DEFAULT)).split())


def binary(version: str) -> Path:
    """Return where `make kubelets` puts the program of a version."""
    return ROOT / ".tools" / f"kubelet-{version}"


def why_not(version: str) -> str:
    """Return what is missing to run a version; "" if nothing is."""
    if not binary(version).exists():
        return f"there is no kubelet {version}: `make kubelets` builds it, with Go"
    return ""
