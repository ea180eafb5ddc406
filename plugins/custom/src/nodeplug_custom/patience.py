"""Looks at file systems that may hang, so that one does not hold up the others."""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from nodeplug.host.fallbacks import fall_back, recover

T = TypeVar("T")

# A look that takes longer is left to itself.
_PATIENCE_SECONDS: Final = 1.0
# For so long what it last saw is taken for true.
_TRUST_SECONDS: Final = 20.0

_WHAT = "looks of custom"


class Patience(Generic[T]):
    """What each of several looks last returned. One that hangs costs one thread, however often.

    `wake` is called, on that thread, when it returns after all.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._late: dict[str, _Look[T]] = {}
        self._known: dict[str, tuple[T, float]] = {}

    def result(self, key: str, look: Callable[[], T]) -> T | None:
        """Return what the look returns, or in its place what it last did, for 20 s; else None.

        An exception of the look is raised here.
        """
        late = self._late.get(key)
        if late is not None and not late.done.is_set():
            return self._remembered(key)
        fresh = _Look(look, self._woken)
        if not fresh.done.wait(_PATIENCE_SECONDS):
            fresh.late = True
        # One that returns just now has seen that it is late, or is seen to be done here.
        if not fresh.done.is_set():
            self._late[key] = fresh
            fall_back(_WHAT, "file system hangs", f"looking for {key}")
            return self._remembered(key)
        self._late.pop(key, None)
        if not self._late:
            recover(_WHAT)
        found = fresh.found()
        self._known[key] = found, time.monotonic()
        return found

    def _remembered(self, key: str) -> T | None:
        found, at = self._known.get(key, (None, 0.0))
        return found if time.monotonic() - at < _TRUST_SECONDS else None

    def _woken(self) -> None:
        self.wake()


class _Look(Generic[T]):
    """One look on a thread of its own."""

    def __init__(self, look: Callable[[], T], wake: Callable[[], None]) -> None:
        self.done = threading.Event()
        self.late = False
        self._look = look
        self._wake = wake
        self._found: T
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name="look", daemon=True).start()

    def found(self) -> T:
        """Return what it saw; raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._found

    def _run(self) -> None:
        try:
            self._found = self._look()
        except BaseException as error:  # noqa: BLE001 - raised again by `found`
            self._error = error
        self.done.set()
        if self.late:
            self._wake()
