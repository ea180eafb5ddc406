"""What holds for all tests."""

import os
import subprocess
import sys
from pathlib import Path

from support.repository import ROOT

LATE = """
import time

import pytest

@pytest.mark.timeout(0.5)
def test_late():
    time.sleep(0.6)

@pytest.mark.timeout(0.5)
def test_hung():
    time.sleep(1000)
"""


def test_a_test_that_is_late_goes_on_and_one_that_hangs_ends(tmp_path: Path) -> None:
    """The machine is measured when the time is up, and there may be more of it."""
    (tmp_path / "test_it.py").write_text(LATE)
    command = (sys.executable, "-m", "pytest", "-p", "conftest", "-rA", "-c", os.devnull, tmp_path)
    path = os.environ | {"PYTHONPATH": str(ROOT / "tests")}
    said = subprocess.run(command, check=False, capture_output=True, text=True, env=path).stdout
    outcomes = [line.split(" - ")[0] for line in said.splitlines() if line.count("::") == 1]
    assert [line.rpartition("::")[2] for line in outcomes] == ["test_late", "test_hung"], said
    assert [line.split()[0] for line in outcomes] == ["PASSED", "FAILED"]
