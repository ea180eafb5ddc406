"""What is left out, without what passes: a card that is removed goes part by part."""

import logging
import time
from typing import Final

from nodeplug.backend import Omissions

PASSING_SECONDS: Final = 1.0


class Troubles:
    """Tells of each once, when it has lasted for a moment; at the first look, at once."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] | None = None
        self._told = Omissions()

    def tell(self, log: logging.Logger, left_out: Omissions) -> bool:
        """Log what is new and has lasted; return whether something has still to."""
        now = time.monotonic()
        before = dict.fromkeys(left_out.items(), 0.0) if self._since is None else self._since
        self._since = {item: before.get(item, now) for item in left_out.items()}
        lasting = [i for i, since in self._since.items() if now - since >= PASSING_SECONDS]
        told, self._told = self._told, Omissions(lasting)
        self._told.tell(log, told)
        return len(lasting) < len(left_out)
