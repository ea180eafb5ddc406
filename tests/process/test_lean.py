"""What keeps the agent small takes nothing away from libraries."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("name", "loaded"), [("Self", False), ("get_type_hints", False), ("deprecated", True)]
)
def test_names_that_typing_lacks_come_from_the_true_module(name: str, *, loaded: bool) -> None:
    """And only those load it."""
    code = (
        "import sys; from nodeplug.cli.lean import slim; slim();"
        f"from typing_extensions import {name}; assert {name};"
        "print(hasattr(sys.modules['typing_extensions'], '__file__'))"
    )
    run = (sys.executable, "-c", code)
    result = subprocess.run(run, capture_output=True, text=True, check=True)
    assert result.stdout == f"{loaded}\n"
