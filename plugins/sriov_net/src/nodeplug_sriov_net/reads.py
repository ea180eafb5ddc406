"""Reading devices one after the other, so that one that does not answer holds up only itself."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# The kernel answers within microseconds. Who takes longer without an answer is left to itself.
_QUICK_SECONDS: Final = 0.03
# In the first look nobody is served yet, and nothing is known of who is late.
_FIRST_SECONDS: Final = 1.0
# For so long what a device last said is taken for true.
_TRUST_SECONDS: Final = 1.0


class Reads(Generic[T]):
    """Reads things by name. One that hangs costs some 60 ms, once, and a thread while it does.

    `wake` is called, on that thread, when it has answered after all. For one thread at a time.
    """

    def __init__(self, read: Callable[[str], T]) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._read = read
        self._limit = _FIRST_SECONDS
        self._stuck: dict[str, _Stuck[T]] = {}

    def of(self, names: Iterable[str]) -> dict[str, T]:
        """Return what was read of each; nothing of those that do not answer."""
        wanted = list(dict.fromkeys(names))
        found: dict[str, T] = {}
        for name in self._stuck.keys() & set(wanted):
            self._stuck[name].again = True
        while todo := [each for each in wanted if each not in found and each not in self._stuck]:
            found |= self._batch(todo)
        self._limit = _QUICK_SECONDS
        return found

    def late(self) -> tuple[dict[str, T], set[str]]:
        """Return what was read late, and who was asked again meanwhile and is so to be now."""
        over = {name: each for name, each in self._stuck.items() if each.values}
        for name in over:
            del self._stuck[name]
        again = {name for name, each in over.items() if each.again}
        return {name: each.values[0] for name, each in over.items() if name not in again}, again

    @property
    def silent(self) -> set[str]:
        """Who has not answered for so long that what it said before counts no more."""
        now = time.monotonic()
        return {name for name, each in self._stuck.items() if now >= each.trusted_until}

    @property
    def next_verdict(self) -> float | None:
        """In how many seconds another one is silent; None if none is waited for."""
        now = time.monotonic()
        waiting = [each.trusted_until - now for each in self._stuck.values()]
        return min((each for each in waiting if each > 0), default=None)

    def _batch(self, names: Sequence[str]) -> dict[str, T]:
        """Read until all have answered, or one takes too long."""
        batch = _Batch(self._read, names, self._wake)
        threading.Thread(target=batch.run, name="read", daemon=True).start()
        before = -1
        while not batch.done.wait(self._limit):
            count = len(batch.found)
            if count == before and (stuck := batch.leave(self._limit)) is not None:
                self._stuck[names[count]] = stuck
                self._limit = _QUICK_SECONDS
                break
            before = count
        return batch.found

    def _wake(self) -> None:
        self.wake()


class _Stuck(Generic[T]):
    """A read that took too long; `values` has its result once there is one."""

    def __init__(self, waited: float) -> None:
        self.trusted_until = time.monotonic() + max(0.0, _TRUST_SECONDS - waited)
        self.again = False
        self.values: list[T] = []


class _Batch(Generic[T]):
    """Names that one thread reads."""

    def __init__(
        self, read: Callable[[str], T], names: Sequence[str], wake: Callable[[], None]
    ) -> None:
        self.found: dict[str, T] = {}
        self.done = threading.Event()
        self._read = read
        self._names = names
        self._wake = wake
        self._lock = threading.Lock()
        self._stuck: _Stuck[T] | None = None

    def run(self) -> None:
        """Read until somebody has gone, who finds what was read then in his `_Stuck`."""
        for name in self._names:
            value = self._read(name)
            with self._lock:
                if self._stuck is None:
                    self.found[name] = value
                    continue
                self._stuck.values.append(value)
            self._wake()
            return
        self.done.set()

    def leave(self, waited: float) -> _Stuck[T] | None:
        """Wait no longer than so many seconds; return who hangs, None if nobody does any more."""
        with self._lock:
            if len(self.found) == len(self._names):
                return None
            self._stuck = _Stuck(waited)
            return self._stuck
