"""The campaign finds an agent that breaks the first promise, and one that strands devices."""

import pytest

from chaos.campaign import campaign
from chaos.world import BrokenError

# Every agent runs it at its start; nothing in the product knows of it.
_BLIND = """
import sys

if "run" in sys.orig_argv:
    from nodeplug.holdings.holdings import Holdings

    Holdings._meeting = lambda self, key: iter(())
"""
_MISER = """
import sys

if "run" in sys.orig_argv:
    from nodeplug.holdings.hold import Hold

    Hold.is_free = lambda *_: False
"""
_FOUND = "given away twice|is healthy but should not be|is offered beside"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(5))
async def test_an_agent_that_does_not_look_at_holds_is_found(seed: int) -> None:
    """Else a campaign without violations would say nothing."""
    with pytest.raises(BrokenError, match=_FOUND):
        await campaign(200, seed, planted=_BLIND)


@pytest.mark.timeout(240)
async def test_an_agent_that_takes_nothing_for_free_is_found() -> None:
    """What is never given twice because it is never given again is no use."""
    with pytest.raises(BrokenError, match="should be healthy but is not"):
        await campaign(200, 0, planted=_MISER)
