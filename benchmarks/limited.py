"""Whether an agent stays within the memory that its chart gives it, whatever happens at once."""

import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from benchmarks.node import TESTS  # noqa: F401 - puts the tests on the path
from benchmarks.report import Figure
from support.siege import withstand

_ROUNDS = 8
_MIB = 1 << 20


async def memory_limit() -> AsyncIterator[Figure]:
    """Ten thousand devices, all operations on, hostile clients, in a cgroup with the limit."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            outcome = await withstand(Path(folder), _ROUNDS)
    except pytest.skip.Exception as reason:
        sys.stderr.write(f"the memory limit is not measured: {reason}\n")
        return
    kept = not outcome.kills and outcome.serves
    yield Figure(
        "10,000 devices, all on, hostile clients: held of the chart's limit",
        outcome.held / _MIB if kept else float("inf"),
        "MiB",
        outcome.limit / _MIB,
        beside=f"{outcome.charged / _MIB:.0f} MiB with cached files; killed: {outcome.kills}",
    )
