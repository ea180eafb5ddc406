"""An agent within the memory that its chart gives it."""

import subprocess
import sys
from pathlib import Path

import pytest

from support.memory_group import MeasuredGroup
from support.siege import withstand


@pytest.mark.alone
@pytest.mark.timeout(120)
async def test_an_agent_of_ten_thousand_devices_stays_within_the_charts_limit(
    tmp_path: Path,
) -> None:
    """All operations on, hostile clients at its port, everything happening at once."""
    outcome = await withstand(tmp_path, rounds=2)
    assert (outcome.kills, outcome.serves) == (0, True)


@pytest.mark.parametrize(("mebibytes", "kills"), [(20, 1), (500, 0)])
def test_where_no_group_can_be_made_a_command_is_measured(
    mebibytes: int, kills: int, tmp_path: Path
) -> None:
    """With its children; more than the limit is as good as being killed."""
    group = MeasuredGroup(tmp_path)
    group.limit(mebibytes << 20)
    child = "x = b'x' * (40 << 20); print(); input()"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [*group.within(), sys.executable, "-c", script]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert group.held > 40 << 20
        process.communicate(b"\n")
    assert group.kills == kills
