"""Keeps the API server told: Events, a condition, a taint. No API server, no harm."""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

from nodeplug.config.settings import ClusterSettings
from nodeplug.operations.cluster.condition import ConditionTeller
from nodeplug.operations.cluster.courier import Courier
from nodeplug.operations.cluster.events import EventTeller
from nodeplug.operations.cluster.node_names import is_node_name
from nodeplug.operations.cluster.taint import TaintTeller
from nodeplug.operations.probes import Probes
from nodeplug.operations.view import View
from nodeplug.values.errors import ClusterError

# Each tells once in this time.
BATCH_SECONDS = 10.0
_LONGEST_PAUSE = 300.0
# A pod has ten seconds to end.
_LEAVE_SECONDS = 5.0

_log = logging.getLogger("nodeplug.cluster")


class Teller(Protocol):
    """Tells the API server of one thing, which it is named after."""

    about: str

    async def tell(self) -> None:
        """Tell what is new. Raise ClusterError; the rest is told next time."""


class Announcer:
    """Lets each teller tell, whatever becomes of what the others tell."""

    def __init__(self, settings: ClusterSettings, node: str, view: View, courier: Courier) -> None:
        probes = Probes(view)
        self._node, self._view = node, view
        self._tellers: list[Teller] = []
        self._condition: ConditionTeller | None = None
        if settings.events:
            self._tellers.append(EventTeller(node, view, courier))
        if settings.condition:
            self._condition = ConditionTeller(node, view, probes, courier)
            self._tellers.append(self._condition)
        if settings.remove_taint:
            taint = TaintTeller(settings.remove_taint, node, view, probes, courier)
            self._tellers.append(taint)

    async def run(self) -> None:
        """Tell until cancelled; then say that nobody tells any more, unless another agent does."""
        if not is_node_name(self._node):
            return
        try:
            async with asyncio.TaskGroup() as tasks:
                for teller in self._tellers:
                    tasks.create_task(_keep_telling(teller, self._over))
        finally:
            await self._take_leave()

    def _over(self) -> bool:
        return self._view.agent().released

    async def tell(self) -> None:
        """Let each tell once. Raise the ClusterError of the first that could not."""
        errors = []
        for teller in self._tellers:
            try:
                await teller.tell()
            except ClusterError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def _take_leave(self) -> None:
        if self._condition is None or self._over():
            return
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await self._condition.take_leave()
        except (ClusterError, TimeoutError) as error:
            facts = {"about": self._condition.about, "error": str(error)}
            _log.warning("API server not told of the end", extra={"nodeplug": facts})


async def _keep_telling(teller: Teller, over: Callable[[], bool] = bool) -> None:
    """Tell again and again until it is over: later and later while it fails, logged once."""
    pause, failing = BATCH_SECONDS, False
    while not over():
        try:
            await teller.tell()
            pause, failing = BATCH_SECONDS, False
        except Exception as error:  # noqa: BLE001 - one teller never takes down another
            if not failing:
                facts = {"about": teller.about, "error": str(error) or repr(error)}
                trace = None if isinstance(error, ClusterError) else error
                _log.error("API server not told", extra={"nodeplug": facts}, exc_info=trace)
            pause, failing = min(2 * pause, _LONGEST_PAUSE), True
        await asyncio.sleep(pause)
