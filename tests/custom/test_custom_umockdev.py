"""Claims about USB hardware that needs a kernel's interfaces of one's own."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from support.needs import require


def test_hardware_that_umockdev_feigns_is_served_to_the_kubelet() -> None:
    """Every claim of umockdev_custom_cases.py holds within umockdev-wrapper."""
    wrapper = shutil.which("umockdev-wrapper")
    require(wrapper is not None, "umockdev-wrapper is missing (Debian: umockdev)")
    cases = Path(__file__).with_name("umockdev_custom_cases.py")
    command = (str(wrapper), sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    run = subprocess.run((*command, str(cases)), capture_output=True, text=True, check=False)
    assert run.returncode == os.EX_OK, run.stdout + run.stderr
