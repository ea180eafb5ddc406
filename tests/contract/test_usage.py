"""What is in use is asked of whichever kubelet is there."""

import asyncio
import socket
import time

import pytest

from nodeplug.supervisor import usage
from support.stage import stage


async def test_a_kubelet_that_is_back_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the pauses had become while there was none."""
    monkeypatch.setattr(usage, "_LONGEST_PAUSE", 60.0)
    async with stage() as play:
        watch, holdings = play.agent._usage, play.agent._holdings
        await play.kubelet.stop()
        watch._pause = 30.0
        holdings.doubt.set()
        async with asyncio.timeout(5):
            while watch._pause < 60.0:  # noqa: ASYNC110 - a look that failed tells nobody
                await asyncio.sleep(0.01)
        await play.kubelet.start()
        async with asyncio.timeout(5):
            while holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)


async def test_a_question_to_a_kubelet_that_has_gone_holds_nothing_up() -> None:
    """One that died with the question open never answers, and asking is limited to 5 s."""
    async with stage() as play:
        await play.kubelet.stop(unlink=True)
        play.pod_resources.unlink()
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.bind(str(play.pod_resources))
            deaf.listen()
            deaf.setblocking(False)
            play.agent._holdings.doubt.set()
            open_question, _ = await asyncio.get_running_loop().sock_accept(deaf)
        with open_question:
            await play.kubelet.start()
            async with asyncio.timeout(3):
                while play.agent._holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                    await asyncio.sleep(0.01)


async def test_a_kubelet_that_is_not_ready_to_be_asked_is_asked_again_soon() -> None:
    """kubelet.sock may be there before the pod resources socket is."""
    async with stage() as play:
        play.agent._usage._pod_resources = later = play.host.root / "later.sock"
        await play.kubelet.restart()
        await play.listed(allocatable=4)
        started = time.monotonic()
        assert play.agent._holdings.doubt.is_set()
        later.symlink_to(play.pod_resources)
        async with asyncio.timeout(10):
            while play.agent._holdings.doubt.is_set():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.01)
    assert time.monotonic() - started < 1.0
