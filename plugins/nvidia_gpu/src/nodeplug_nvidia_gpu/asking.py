"""Asking each GPU by itself, so that one that hangs keeps nobody from the others."""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from nodeplug.host.reads import Answer, Question, Reads

_Answer = TypeVar("_Answer")

# A question is some dozens of calls of the driver; what takes longer is not waited for.
_QUICK_SECONDS: Final = 0.1
# NVML, nvmlInit: a GPU is made ready by the first question that it is asked.
_FIRST_SECONDS: Final = 1.0


class Asker:
    """Asks on threads, of which one that hangs is left behind with its GPU.

    A GPU costs one thread for each kind of question that it hangs in. `wake` is called when it
    answers after all. For one thread.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._kinds: dict[str, Reads] = {}

    def ask(
        self, kind: str, questions: Mapping[int, Callable[[], _Answer]]
    ) -> dict[int, Answer[_Answer]]:
        """Return the answers by the indexes of GPUs; what was asked before is asked of all anew."""
        if kind not in self._kinds:
            first = _FIRST_SECONDS if not self._kinds else _QUICK_SECONDS
            self._kinds[kind] = Reads(first, _QUICK_SECONDS)
            self._kinds[kind].wake = self._wake
        names = {f"GPU {index}": index for index in questions}
        with self._kinds[kind] as reads:
            answers = reads.ask({n: Question(n, kind, questions[i]) for n, i in names.items()})
        return {names[name]: answer for name, answer in answers.items()}

    @property
    def hanging(self) -> bool:
        """Whether a call is still under way that was not waited for."""
        return any(reads.hanging for reads in self._kinds.values())

    @property
    def silent(self) -> tuple[str, ...]:
        """The GPUs that do not answer."""
        return tuple(sorted({name for reads in self._kinds.values() for name in reads.silent}))

    @property
    def next_verdict(self) -> float | None:
        """In how many seconds another GPU is no longer trusted; None if there is none."""
        verdicts = [reads.next_verdict for reads in self._kinds.values()]
        return min((each for each in verdicts if each is not None), default=None)
