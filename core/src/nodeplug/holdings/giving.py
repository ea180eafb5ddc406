"""An answer under way: from the decision that ids may be given to what became of it."""

from collections.abc import Callable, Sequence
from types import TracebackType

from nodeplug.host.ledger import LedgerEntry


class Giving:
    """Ids that are being handed out, while its block runs; an error in it means they were not.

    `entries` are what other agents have to know of it.
    """

    __slots__ = ("_end", "entries")

    def __init__(self, entries: Sequence[LedgerEntry], end: Callable[[bool], None]) -> None:
        self.entries = entries
        self._end = end

    def __enter__(self) -> None:
        """Begin the answer."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Note whether there is an answer."""
        self._end(kind is None)
