"""Reads of single devices, so that one that does not answer holds up nothing but itself."""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, Generic, NamedTuple, Self, TypeVar

from nodeplug.host.fallbacks import Fallbacks

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
    `is_new` says that this came since the last look, `pending` that nothing was ever read, and
    that there is still time to.
    """

    value: T | None = None
    trouble: str = ""
    error: BaseException | None = None
    is_new: bool = False
    pending: bool = False

    def get(self) -> T | None:
        """Return the value; raise what the question raised."""
        if self.error is not None:
            raise self.error
        return self.value


class Reads:
    """Asks devices by turns. One that hangs costs some 60 ms, once, and a thread while it does.

    `with reads:` is one look; what it did not ask for is forgotten then. In the first one, a device
    may take `first_seconds`, later `quick_seconds`. `wake` is called, on the thread that hung, when
    a device answers after all. For one thread at a time.
    """

    def __init__(
        self, first_seconds: float = _FIRST_SECONDS, quick_seconds: float = _QUICK_SECONDS
    ) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._limit = first_seconds
        self._quick = quick_seconds
        self._worker: SimpleQueue[_Batch | None] | None = None
        self._known: dict[str, Answer[Any]] = {}
        self._stuck: dict[str, _Stuck] = {}
        self._again: set[str] = set()
        self._asked: set[str] = set()
        self._meant: Collection[str] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.put(None)
        if kind is None:
            self._limit = self._quick
            self._known = {key: self._known[key] for key in self._known if key in self._asked}
            for key in self._stuck.keys() - self._asked:
                if self._stuck[key].is_over:
                    del self._stuck[key]
            self._again &= self._asked
            self._meant = self._asked
        self._asked = set()

    def ask(self, questions: Mapping[str, Question[T]]) -> dict[str, Answer[T]]:
        """Return the answer to each question, by its key: the same is the same over all looks."""
        self._asked |= questions.keys()
        late = {key: stuck.late for key in questions if (stuck := self._ended(key))}
        # It may have been read before the change that this look is for. A device that is slow every
        # time is believed, or it would be asked without end.
        answers = {key: late[key] for key in late.keys() & self._again}
        self._again = (self._again | late.keys()) - answers.keys()
        while todo := {
            key: question
            for key, question in questions.items()
            if key not in answers and key not in self._stuck
        }:
            batch = _Batch(todo)
            self._run(batch)
            answers |= batch.answers
        self._again -= answers.keys()
        answers = late | answers
        self._known |= answers
        return {key: answers.get(key) or self._remembered(key) for key in questions}

    @property
    def waiting(self) -> set[str]:
        """The keys of questions without an answer, and of those whose answer `ask` has not told."""
        return {*self._stuck}

    @property
    def hanging(self) -> bool:
        """Whether a question is still being asked that nobody waits for."""
        return any(not each.is_over for each in self._stuck.values())

    @property
    def silent(self) -> dict[str, str]:
        """The devices of the last look that do not answer, and what of them cannot be read."""
        now = time.monotonic()
        late = [each for each in self._missed() if not each.is_over and each.is_late(now)]
        return {each.question.device: each.question.what for each in late}

    @property
    def next_verdict(self) -> float | None:
        """In how many seconds another device is no longer trusted; None if there is none."""
        now = time.monotonic()
        waiting = [each.since + _TRUST_SECONDS - now for each in self._missed() if not each.told]
        return max(0.0, min(waiting)) if waiting else None

    def _missed(self) -> list["_Stuck"]:
        return [each for key, each in self._stuck.items() if key in self._meant]

    def _run(self, batch: "_Batch") -> None:
        """Return when all of it is answered, or one of it takes too long."""
        worker = self._worker = self._worker or _started()
        worker.put(batch)
        before = -1
        while not batch.done.wait(self._limit):
            count = len(batch.answers)
            if count == before and (stuck := batch.leave(self._limit, self._late)) is not None:
                self._stuck[stuck.key] = stuck
                self._worker, self._limit = None, self._quick
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
            return known._replace(is_new=False)
        stuck.told = True
        trouble = f"does not answer: {stuck.question.what} cannot be read"
        return known._replace(trouble=trouble, is_new=False, pending=False)


class Silence:
    """Tells until closed who does not answer, and asks for looks when that may change.

    `prefix` begins what devices are called then. `look` is called on the event loop, to which all
    of it belongs.
    """

    def __init__(self, reads: Reads, prefix: str, look: Callable[[], None]) -> None:
        self._reads = reads
        self._prefix = prefix
        self._look = look
        self._fallbacks = Fallbacks()
        self._verdict: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        reads.wake = self._wake

    def close(self) -> None:
        """Say that nobody is asked any more."""
        self._cancel()
        self._fallbacks.close()

    def tell(self) -> None:
        """Tell what the look that has just ended saw."""
        self._cancel()
        self._fallbacks.tell(
            {
                f"{self._prefix}{device}": ("a device does not answer", f"{what} cannot be read")
                for device, what in self._reads.silent.items()
            }
        )
        if (seconds := self._reads.next_verdict) is not None:
            self._verdict = self._loop.call_later(seconds, self._look)

    def _cancel(self) -> None:
        if self._verdict is not None:
            self._verdict.cancel()
            self._verdict = None

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop has been closed
            self._loop.call_soon_threadsafe(self._look)


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
        return Answer(question.ask(), is_new=True)
    except BaseException as error:  # noqa: BLE001 - raised again by `get`
        return Answer(error=error, is_new=True)


def _started() -> "SimpleQueue[_Batch | None]":
    batches: SimpleQueue[_Batch | None] = SimpleQueue()

    def work() -> None:
        while (batch := batches.get()) is not None and batch.run():
            pass

    threading.Thread(target=work, name="read", daemon=True).start()
    return batches
