"""An agent within the memory that its chart gives it."""

from pathlib import Path

import pytest

from support.siege import withstand


@pytest.mark.timeout(300)
async def test_an_agent_of_ten_thousand_devices_stays_within_the_charts_limit(
    tmp_path: Path,
) -> None:
    """All operations on, hostile clients at its port, everything happening at once."""
    outcome = await withstand(tmp_path, rounds=2)
    assert (outcome.kills, outcome.serves) == (0, True)
