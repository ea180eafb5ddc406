"""Mounts that only one test's process sees."""

import shutil
import subprocess


def can_mount_in_namespace() -> bool:
    """Return whether this process may mount in a namespace of its own."""
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0
