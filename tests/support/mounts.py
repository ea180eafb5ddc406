"""Mounts that only one test's process sees, and mounts that a test makes and takes away."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def can_mount_in_namespace() -> bool:
    """Return whether this process may mount in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def mounted(kind: str, place: Path, options: str, *descriptors: int) -> Iterator[None]:
    """Mount a file system of a kind; at the end take it away, whoever still uses it.

    The mounting program inherits the descriptors. Needs what `can_mount_in_namespace` tells.
    """
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-i", "-t", kind, "-o", options, "none", str(place)]
    subprocess.run(command, check=True, pass_fds=descriptors)
    try:
        yield
    finally:
        command = ["umount", "--lazy", str(place)]
        subprocess.run(command, check=True)
