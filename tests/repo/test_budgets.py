"""Functions and files stay small enough to be read at once."""

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

from support.repository import PLUGINS, ROOT


def sources() -> Iterator[Path]:
    for folder in (ROOT / "core", *PLUGINS):
        for file in folder.rglob("src/**/*.py"):
            if "_pb2" not in file.name:
                yield file


def function_lengths() -> list[int]:
    return sorted(
        (node.end_lineno or 0) - node.lineno + 1
        for file in sources()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_half_of_all_functions_take_eight_lines_or_less() -> None:
    """Signature and docstring included."""
    assert statistics.median(function_lengths()) <= 8


def test_nine_functions_in_ten_take_25_lines_or_less() -> None:
    """The rest is rare enough to be looked at one by one."""
    lengths = function_lengths()
    assert lengths[len(lengths) * 9 // 10] <= 25


def test_no_file_exceeds_500_lines() -> None:
    """One idea each."""
    long = {str(f): n for f in sources() if (n := len(f.read_text().splitlines())) > 500}
    assert not long
