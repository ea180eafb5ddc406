"""Asking one GPU after the other, such that one that hangs keeps nobody from the others."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Generic, TypeVar

# What takes longer hangs; the others are listed within the time that a backend has at first.
HANGS_SECONDS: Final = 2.0

_Answer = TypeVar("_Answer")


class Asker(Generic[_Answer]):
    """Asks on threads, of which one that hangs is left behind with its GPU.

    `ask` is called with an index, on one thread at a time but for those that hang.
    """

    def __init__(self, ask: Callable[[int], _Answer]) -> None:
        self._ask = ask
        self._hung: dict[int, _Round[_Answer]] = {}

    @property
    def hanging(self) -> bool:
        """Whether a call is still under way that was not waited for."""
        self._hung = {index: each for index, each in self._hung.items() if each.is_alive()}
        return bool(self._hung)

    def answers(self, indexes: Iterable[int]) -> Iterator[tuple[int, _Answer | float]]:
        """Yield what each says, or since when, by the monotonic clock, it has not answered."""
        todo = [index for index in indexes if not self.hanging or index not in self._hung]
        yield from ((index, each.began) for index, each in self._hung.items())
        while todo:
            now = _Round(self._ask, todo)
            now.start()
            yield from now.answers()
            if not now.left:
                return
            self._hung[now.index] = now
            yield now.index, now.began
            todo = todo[todo.index(now.index) + 1 :]


class _Round(threading.Thread, Generic[_Answer]):
    """One thread that asks; `index` is asked since `began`. It is `left` where that hangs."""

    def __init__(self, ask: Callable[[int], _Answer], indexes: Sequence[int]) -> None:
        super().__init__(name="nvidia-ask", daemon=True)
        self._ask = ask
        self._indexes = indexes
        self._change = threading.Condition()
        self._answers: list[tuple[int, _Answer]] = []
        self._over = self.left = False
        self.index, self.began = indexes[0], time.monotonic()

    def run(self) -> None:
        for index in self._indexes:
            with self._change:
                if self.left:
                    return
                self.index, self.began = index, time.monotonic()
            answer = self._ask(index)
            with self._change:
                self._answers.append((index, answer))
        with self._change:
            self._over = True
            self._change.notify()

    def answers(self) -> list[tuple[int, _Answer]]:
        """Return all answers, or those that came before one that did not."""
        with self._change:
            while not self._over:
                left = self.began + HANGS_SECONDS - time.monotonic()
                if left <= 0:
                    self.left = True
                    break
                self._change.wait(left)
            return [*self._answers]
