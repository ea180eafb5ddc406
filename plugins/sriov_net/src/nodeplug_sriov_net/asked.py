"""Questions to the kernel that may take long: what was known before stands meanwhile."""

import asyncio
from collections.abc import Callable
from math import inf
from typing import Generic, TypeVar

from nodeplug.host.calls import call
from nodeplug.host.fallbacks import fall_back, recover
from nodeplug_sriov_net.mark import Mark

T = TypeVar("T")

# The kernel answers from memory. Who takes longer is waited for in the background.
QUICK_SECONDS = 0.05
# After so long it is told that the kernel does not answer.
_LONG_SECONDS = 5.0


class Asked(Generic[T]):
    """A question, asked on a thread of its own when its answer is spoilt; one at a time.

    `what` names it for people. `mark` is called when an answer comes that nobody waited for.
    """

    def __init__(self, what: str, ask: Callable[[], T], mark: Mark) -> None:
        self.value: T | None = None
        self.spoilt = True
        self._what = f"sriov_net: {what}"
        self._ask = ask
        self._mark = mark
        self._asking: asyncio.Task[T] | None = None
        self._is_late = False

    @property
    def begins(self) -> bool:
        """Whether the next `get` asks anew."""
        return self.spoilt and self._asking is None

    async def get(self, patience: float | None = QUICK_SECONDS) -> bool:
        """Ask if need be; return whether `value` is new. Raises OSError if refused."""
        if self._asking is None:
            if not self.spoilt:
                return False
            self.spoilt, self._is_late = False, False
            self._asking = asyncio.create_task(self._answer())
        if not self._is_late:
            await asyncio.wait({self._asking}, timeout=patience)
        if not self._asking.done():
            if not self._is_late:
                self._is_late = True
                self._asking.add_done_callback(lambda _: self._mark(()))
            return False
        asking, self._asking = self._asking, None
        try:
            self.value = asking.result()
        except OSError:
            self.spoilt = True
            raise
        return True

    def close(self) -> None:
        """Wait for nothing any more."""
        self._mark = _nobody
        if self._asking is not None:
            self._asking.cancel()

    async def _answer(self) -> T:
        loop = asyncio.get_running_loop()
        lacks = "the kernel does not answer"
        timer = loop.call_later(_LONG_SECONDS, fall_back, self._what, lacks, "a lock of it is held")
        try:
            return await call(self._ask, timeout=inf)
        finally:
            timer.cancel()
            recover(self._what)


def _nobody(_: object) -> None:
    pass
