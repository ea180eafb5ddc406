"""The kubelet's time, which may run faster than ours."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress


class Clock:
    """Seconds as the embedded kubelet counts them: `scale` of them in one real second."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._started = time.monotonic()
        self._skipped = 0.0
        self._limits: set[asyncio.Timeout] = set()

    def now(self) -> float:
        """Return the kubelet's monotonic time."""
        return (time.monotonic() - self._started) * self.scale + self._skipped

    def advance(self, seconds: float) -> None:
        """Let so many seconds have gone by at once, for all limits and sleepers as well."""
        self._skipped += seconds
        for limit in self._limits:
            if (end := limit.when()) is not None and not limit.expired():
                limit.reschedule(end - seconds / self.scale)

    @asynccontextmanager
    async def limit(self, seconds: float) -> AsyncGenerator[None, None]:
        """Return a context that raises TimeoutError after so many of the kubelet's seconds."""
        async with asyncio.timeout(seconds / self.scale) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

    async def sleep(self, seconds: float) -> None:
        """Return after so many of the kubelet's seconds."""
        with suppress(TimeoutError):
            async with self.limit(seconds):
                await asyncio.Event().wait()
