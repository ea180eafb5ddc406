"""Keeping a condition of the node: whether all is served."""

import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nodeplug.meters.catalogue import CONDITION_HEARTBEAT
from nodeplug.operations.cluster import calls
from nodeplug.operations.cluster.courier import Call, Courier, check
from nodeplug.operations.probes import Probes
from nodeplug.operations.view import View

if TYPE_CHECKING:
    from nodeplug.values.trouble import Trouble

# A condition whose heartbeat is three times as old says that nobody cares for it any more.
RENEW_SECONDS = 300.0
# Agents that were started together shall not tell together for ever.
_JITTER = 0.1


class ConditionTeller:
    """Writes the condition when it changes, and renews it so that its age tells of an end."""

    about = "condition"

    def __init__(self, node: str, view: View, probes: Probes, courier: Courier) -> None:
        self._node = node
        self._view = view
        self._probes = probes
        self._courier = courier
        self._ready: bool | None = None
        self._troubles: tuple[Trouble, ...] | None = None
        self._since = 0.0
        self._due = 0.0

    async def tell(self) -> None:
        """Write it if there is something new, or it is time. Raise ClusterError."""
        troubles = tuple(await self._probes.troubles())
        ready, now = not any(each.blocks for each in troubles), time.time()
        if troubles == self._troubles and time.monotonic() < self._due:
            return
        since = self._since if ready == self._ready else now
        await self._send(calls.condition(self._node, self._kind, troubles, since))
        self._ready, self._troubles, self._since = ready, troubles, since
        self._due = time.monotonic() + RENEW_SECONDS * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
        CONDITION_HEARTBEAT.set(now)

    async def take_leave(self) -> None:
        """Say that nobody looks any more. Raise ClusterError."""
        await self._send(calls.unknown_condition(self._node, self._kind))

    async def _send(self, call: Call) -> None:
        check(await self._courier.send([call]))

    @property
    def _kind(self) -> str:
        return _condition_type([each.name for each in self._view.agent().backends])


def _condition_type(backends: Sequence[str]) -> str:
    one = backends[0] if len(backends) == 1 else ""
    return f"Nodeplug{''.join(word.capitalize() for word in one.split('_'))}Ready"
