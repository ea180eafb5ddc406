"""Questions to the kernel over netlink, and the answers to them among its events."""

import asyncio
from typing import Any, Final

from nodeplug_sriov_net import netlink

# The kernel answers from memory; it takes longer only while its locks are held.
_ANSWER_SECONDS: Final = 10.0


class Conversation:
    """The questions of one socket that are not answered yet, by number."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[bool]] = {}

    async def answered(self, number: int) -> bool:
        """Return, at the end of the answer, whether it was whole; raise OSError if refused."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await future
        finally:
            del self._waiting[number]

    def lost(self) -> None:
        """Take note that messages were lost: no answer will be whole."""
        for number in self._waiting:
            self._settle(number, whole=False)

    def takes(self, message: Any) -> bool:
        """Return whether a message is part of an answer still; an end is taken care of."""
        number = message["header"]["sequence_number"]
        if error := netlink.error_of(message):
            self._settle(number, whole=False, error=error)
        elif netlink.is_interrupted(message):
            self._settle(number, whole=False)
        elif netlink.is_end(message):
            self._settle(number, whole=True)
        else:
            return number in self._waiting
        return False

    def _settle(self, number: int, *, whole: bool, error: OSError | None = None) -> None:
        future = self._waiting.get(number)
        if future is None or future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(whole)
