"""Runs the claims that need a feigned machine, all in one process of their own."""

import shutil
import subprocess
import sys
from pathlib import Path

from support.needs import require


def test_hardware_that_umockdev_feigns_is_handled() -> None:
    """Every claim of umockdev_cases.py holds within umockdev-wrapper."""
    wrapper = shutil.which("umockdev-wrapper")
    require(wrapper is not None, "umockdev-wrapper is missing (Debian: umockdev)")
    cases = Path(__file__).with_name("umockdev_cases.py")
    command = [str(wrapper), sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(cases)], capture_output=True, text=True, check=False, cwd=cases.parents[2]
    )
    assert done.returncode == 0, done.stdout
