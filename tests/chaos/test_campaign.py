"""A short walk through every kind of fault that leaves the agent running, and some that do not."""

import pytest

from chaos.campaign import campaign


@pytest.mark.timeout(240)
async def test_a_hundred_faults_break_nothing() -> None:
    """`make chaos` walks ten thousand."""
    result = await campaign(100, seed=1, restarts=3)
    assert sum(map(len, result.faults.values())) == 100
    assert result.pods > 20


@pytest.mark.timeout(240)
async def test_those_outside_break_nothing() -> None:
    """Hostile clients, bombs, an API server of no use, limits that are reached; and all else."""
    result = await campaign(60, seed=2, outside=20)
    limits = {"agent_has_no_descriptors", "agent_has_no_more_watches", "labels_have_no_room"}
    assert {"clients_are_hostile", "annotation_is_a_bomb", *limits} <= set(result.faults)
