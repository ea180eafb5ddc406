"""Reads of single devices, so that one that does not answer holds up nothing but itself."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, Final, Generic, NamedTuple, TypeVar

T = TypeVar("T")

# A device that takes longer is left to itself: the kernel answers within microseconds.
_QUICK_SECONDS: Final = 0.03
# In the first look nobody else is served yet, and nothing is known of one that is late.
_FIRST_SECONDS: Final = 1.0
# For so long what a device last said is taken for true.
_TRUST_SECONDS: Final = 1.0


class Question(NamedTuple, Generic[T]):
    """What is asked of a device: its name for people, what is read, and how."""

    device: str
    what: str
    ask: Callable[[], T]


class Answer(NamedTuple, Generic[T]):
    """What was read, or what was when it last could be, else None.

    `trouble` says why that may be wrong by now, or is empty; `error` is what the question raised.
    `pending` says that nothing was ever read, and that there is still time to.
    """

    value: T | None = None
    trouble: str = ""
    error: BaseException | None = None
    pending: bool = False

    def get(self) -> T | None:
        """Return the value; raise what the question raised."""
        if self.error is not None:
            raise self.error
        return self.value


class Reads:
    """Asks devices by turns. One that hangs costs 30 ms, once, and a thread while it does.

    `wake` is called, on that thread, when it answers after all. For one thread at a time.
    """

    def __init__(self) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._limit = _FIRST_SECONDS
        self._worker: SimpleQueue[_Batch | None] | None = None
        self._known: dict[str, Answer[Any]] = {}
        self._stuck: dict[str, _Stuck] = {}
        self._asked: set[str] = set()
        self._meant: Collection[str] = ()

    def ask(self, questions: Mapping[str, Question[T]]) -> dict[str, Answer[T]]:
        """Return the answer to each question, by its key: the same is the same over all looks."""
        self._asked |= questions.keys()
        answers = {key: stuck.late for key in questions if (stuck := self._ended(key))}
        todo = {k: q for k, q in questions.items() if k not in answers and k not in self._stuck}
        while todo:
            batch = _Batch(todo)
            self._run(batch)
            answers |= batch.answers
            todo = {k: q for k, q in todo.items() if k not in answers and k not in self._stuck}
        self._known |= answers
        return {key: answers.get(key) or self._remembered(key) for key in questions}

    def end(self) -> None:
        """Say that a look is over: what it did not ask for is forgotten."""
        self._limit = _QUICK_SECONDS
        self._known = {key: self._known[key] for key in self._known if key in self._asked}
        for key in [key for key in self._stuck if key not in self._asked]:
            if self._stuck[key].is_over:
                del self._stuck[key]
        self._meant, self._asked = self._asked, set()

    def rest(self) -> None:
        """End the thread that asks, until there is something to ask."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.put(None)

    def __del__(self) -> None:
        """End the thread with whoever had it."""
        self.rest()

    @property
    def silent(self) -> dict[str, str]:
        """The devices of the last look that do not answer, and what of them cannot be read."""
        now = time.monotonic()
        meant = [each for key, each in self._stuck.items() if key in self._meant]
        late = [each for each in meant if not each.is_over and each.is_late(now)]
        return {each.question.device: each.question.what for each in late}

    @property
    def next_verdict(self) -> float | None:
        """In how many seconds another device is no longer trusted; None if there is none."""
        now = time.monotonic()
        waiting = [s.since + _TRUST_SECONDS - now for s in self._stuck.values() if not s.told]
        return max(0.0, min(waiting)) if waiting else None

    def _run(self, batch: "_Batch") -> None:
        """Return when all of it is answered, or one of it takes too long."""
        worker = self._worker = self._worker or _started()  # `rest` may come at any time
        worker.put(batch)
        before = -1
        while not batch.done.wait(self._limit):
            count = len(batch.answers)
            if count == before and (stuck := batch.leave(self._limit, self._late)) is not None:
                self._stuck[stuck.key] = stuck
                self._worker, self._limit = None, _QUICK_SECONDS
                return
            before = count

    def _late(self) -> None:
        self.wake()

    def _ended(self, key: str) -> "_Stuck | None":
        """Return what was stuck and is not any more, once."""
        stuck = self._stuck.get(key)
        if stuck is None or not stuck.is_over:
            return None
        del self._stuck[key]
        return stuck

    def _remembered(self, key: str) -> Answer[Any]:
        stuck, known = self._stuck[key], self._known.get(key, Answer(pending=True))
        if not stuck.is_late(time.monotonic()):
            return known
        stuck.told = True
        what = stuck.question.what
        return known._replace(trouble=f"does not answer: {what} cannot be read", pending=False)


class _Stuck:
    """A question that was not answered in time. `late` is its answer, if it came."""

    def __init__(self, key: str, question: Question[Any], since: float) -> None:
        self.key = key
        self.question = question
        self.since = since
        self.told = False
        self.late: Answer[Any] = Answer()
        self.is_over = False

    def is_late(self, now: float) -> bool:
        """Whether it is no longer to be trusted."""
        return now - self.since >= _TRUST_SECONDS


class _Batch:
    """Questions that one thread asks, one after the other."""

    def __init__(self, questions: Mapping[str, Question[Any]]) -> None:
        self.answers: dict[str, Answer[Any]] = {}
        self.done = threading.Event()
        self._questions: Sequence[tuple[str, Question[Any]]] = [*questions.items()]
        self._lock = threading.Lock()
        self._stuck: _Stuck | None = None
        self._wake: Callable[[], None] = lambda: None

    def run(self) -> bool:
        """Ask; return whether somebody still waits."""
        for key, question in self._questions:
            answer = _answer(question)
            with self._lock:
                if self._stuck is None:
                    self.answers[key] = answer
                    continue
                self._stuck.late, self._stuck.is_over = answer, True
            self._wake()
            return False
        self.done.set()
        return True

    def leave(self, waited: float, wake: Callable[[], None]) -> _Stuck | None:
        """Wait no longer; return what it hangs at, None if it has just ended."""
        with self._lock:
            number = len(self.answers)
            if number == len(self._questions):
                return None
            since = time.monotonic() - waited
            self._stuck, self._wake = _Stuck(*self._questions[number], since), wake
            return self._stuck


def _answer(question: Question[Any]) -> Answer[Any]:
    try:
        return Answer(question.ask())
    except BaseException as error:  # noqa: BLE001 - raised again by `get`
        return Answer(error=error)


def _started() -> "SimpleQueue[_Batch | None]":
    batches: SimpleQueue[_Batch | None] = SimpleQueue()

    def work() -> None:
        while (batch := batches.get()) is not None and batch.run():
            pass

    threading.Thread(target=work, name="read", daemon=True).start()
    return batches
