"""A short walk through every kind of fault that leaves the agent running, and some that do not."""

import pytest

from chaos.campaign import campaign


@pytest.mark.timeout(240)
async def test_a_hundred_faults_break_nothing() -> None:
    """`make chaos` walks ten thousand."""
    result = await campaign(100, seed=1, restarts=3)
    assert sum(map(len, result.faults.values())) == 100
    assert result.pods > 20
