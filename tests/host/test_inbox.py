"""Claims about the bounded queue between a reader and its consumer."""

import asyncio

import pytest

from nodeplug.host.inbox import Inbox
from nodeplug.host.uevents import Resync


async def test_items_come_out_in_order() -> None:
    """Below the limit, everything put in comes out, first in first."""
    inbox: Inbox[int] = Inbox(limit=2)
    inbox.put(1)
    inbox.put(2)
    assert [await anext(inbox), await anext(inbox)] == [1, 2]


async def test_a_full_queue_becomes_one_resync() -> None:
    """One item too many replaces all of them by one Resync, and itself too."""
    inbox: Inbox[int] = Inbox(limit=2)
    for number in range(3):
        inbox.put(number)
    inbox.put(3)
    assert [await anext(inbox), await anext(inbox)] == [Resync(), 3]


async def test_a_resync_makes_older_items_needless() -> None:
    """Who looks at everything again needs nothing from before."""
    inbox: Inbox[int] = Inbox()
    inbox.put(1)
    inbox.put(Resync())
    inbox.put(Resync())
    inbox.put(2)
    assert [await anext(inbox), await anext(inbox)] == [Resync(), 2]


async def test_a_cancelled_wait_loses_nothing() -> None:
    """An item put while the waiting task is being cancelled is there for the next wait."""
    inbox: Inbox[int] = Inbox()

    async def wait() -> int | Resync:
        return await anext(inbox)

    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    inbox.put(1)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await anext(inbox) == 1


async def test_close_ends_a_waiting_iteration() -> None:
    """A consumer that waits when the source closes goes on."""
    inbox: Inbox[int] = Inbox()

    async def consume() -> list[int | Resync]:
        return [item async for item in inbox]

    consuming = asyncio.create_task(consume())
    await asyncio.sleep(0)
    inbox.close()
    assert await consuming == []


async def test_an_error_reaches_the_consumer() -> None:
    """A source that failed ends the iteration with its error."""
    inbox: Inbox[int] = Inbox()
    inbox.close(OSError("no more"))
    with pytest.raises(OSError, match="no more"):
        await anext(inbox)
