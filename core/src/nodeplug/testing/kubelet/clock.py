"""The kubelet's time, which may run faster than ours."""

import asyncio
import time
from contextlib import AbstractAsyncContextManager


class Clock:
    """Seconds as the embedded kubelet counts them: `scale` of them in one real second."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        self._started = time.monotonic()
        self._skipped = 0.0

    def now(self) -> float:
        """Return the kubelet's monotonic time."""
        return (time.monotonic() - self._started) * self.scale + self._skipped

    def advance(self, seconds: float) -> None:
        """Let so many seconds have gone by at once."""
        self._skipped += seconds

    def limit(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Return a context that raises TimeoutError after so many of the kubelet's seconds."""
        return asyncio.timeout(seconds / self.scale)
