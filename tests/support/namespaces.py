"""Namespaces of a test's own."""

import shutil
import subprocess

from support.needs import require


def with_own_limits() -> list[str]:
    """Return what to put before a command that may set limits in /proc/sys/user for itself."""
    words = ["unshare", "--user", "--map-root-user"]
    require(shutil.which("unshare") is not None, "unshare is missing")
    probe = subprocess.run([*words, "true"], check=False, capture_output=True)
    require(probe.returncode == 0, "this process may not make a user namespace")
    return words


def in_own_processes() -> list[str]:
    """Return what to put before a command that is to be process 1; its end kills all others."""
    words = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]
    require(shutil.which("unshare") is not None, "unshare is missing")
    probe = subprocess.run([*words, "true"], check=False, capture_output=True)
    require(probe.returncode == 0, "a process namespace of our own needs root")
    return words
