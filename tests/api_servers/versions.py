"""The versions of Kubernetes whose own API server judges what we say to it."""

import os
from pathlib import Path

from support.repository import ROOT

# NODEPLUG_API_SERVERS="1.30 1.37" names others; "" names none.
VERSIONS = tuple(os.environ.get("NODEPLUG_API_SERVERS", "1.37").split())


def binary(version: str) -> Path:
    """Return where `make api-servers` puts the program of a version."""
    return ROOT / ".tools" / f"api-server-{version}"


def why_not(version: str) -> str:
    """Return what is missing to run a version; "" if nothing is."""
    if binary(version).exists():
        return ""
    return f"there is no API server {version}: `make api-servers` builds it, with Go"
