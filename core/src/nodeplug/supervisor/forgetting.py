"""Ending holds that an operator asks to forget."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from nodeplug.holdings import Holdings
from nodeplug.host.calls import call
from nodeplug.host.files import stamp
from nodeplug.host.ledger_files import FORGET_FOLDER

if TYPE_CHECKING:
    from nodeplug.host.forgetting import Request

_READ_SECONDS = 5.0

_log = logging.getLogger("nodeplug.supervisor")


class Forgetting:
    """Takes up requests that lie beside the ledger, each once."""

    def __init__(self, folder: Path, agent: str, holdings: Holdings) -> None:
        self._folder = folder
        self._agent = agent
        self._holdings = holdings
        self._taken: set[Request] = set()
        self._seen: tuple[int, int] | None = None

    async def take_up(self) -> None:
        """Take up what is new."""
        if (seen := stamp(self._folder / FORGET_FOLDER)) == self._seen:
            return
        from nodeplug.host.forgetting import requests  # noqa: PLC0415 - rare

        try:
            wanted = await call(requests, self._folder, timeout=_READ_SECONDS)
        except (RuntimeError, TimeoutError):  # too many threads, or a disk that hangs
            return
        self._seen = seen
        new = [each for each in wanted if each not in self._taken]
        self._taken = set(wanted)
        for each in new:
            await self._end(each)

    async def _end(self, request: "Request") -> None:
        key = request.resource, request.device
        known = self._holdings.handed_out(*key)
        why = self._holdings.forget(*key, request.asked)
        facts = {"resource": key[0], "device": key[1], "reason": request.reason, "by": request.who}
        if known:
            _log.warning("hold forgotten", extra={"nodeplug": {**facts, "refused": why}})
        from nodeplug.host.forgetting import Taken, done  # noqa: PLC0415 - rare

        try:
            taken = Taken(self._agent, not why, why)
            await call(done, self._folder, request, taken, timeout=_READ_SECONDS)
        except (RuntimeError, TimeoutError):  # too many threads, or a disk that hangs
            _log.warning("request not answered", extra={"nodeplug": facts})
