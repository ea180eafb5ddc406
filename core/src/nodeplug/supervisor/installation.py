"""An installation: one release of ours on a node, which may have several."""

import os
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

from nodeplug.host.identities import Identities
from nodeplug.kubelet.sockets import HOME


def file_name(installation: str) -> str:
    """Return what stands for an installation in the name of a file: its text is from outside."""
    return f"{zlib.crc32(installation.encode()):08x}"


def owner_of(backends: Iterable[str], installation: str) -> str:
    """Return who this process is, for people who find what it holds."""
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    whose = f"the agent for {', '.join(backends)} of installation {installation!r}"
    return f"{whose}, process {os.getpid()}, since {since}"


def identities(plugin_dir: Path, installation: str, *, writes: bool) -> Identities:
    """Return what an installation remembers of ids; only its agent writes."""
    file = plugin_dir / HOME / "identities" / f"{file_name(installation)}.json"
    return Identities(file, writes=writes)
