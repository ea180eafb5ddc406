"""What is in use is asked of whichever kubelet is there."""

import asyncio

import pytest

from nodeplug.supervisor import usage
from support.stage import stage


async def test_a_kubelet_that_is_back_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pauses had become while there was none."""
    monkeypatch.setattr(usage, "_LONGEST_PAUSE", 60.0)
    async with stage() as play:
        watch, holdings = play.agent._usage, play.agent._holdings
        await play.kubelet.stop(unlink=True)
        watch._pause = 30.0
        holdings.doubt.set()
        async with asyncio.timeout(5):
            while watch._pause < 60.0:  # noqa: ASYNC110 - a look that failed tells nobody
                await asyncio.sleep(0.01)
        await play.kubelet.start()
        async with asyncio.timeout(5):
            while holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
