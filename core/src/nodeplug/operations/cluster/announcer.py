"""Keeps the API server told: Events, a condition, a taint. No API server, no harm."""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence

from nodeplug.config.settings import ClusterSettings
from nodeplug.operations.cluster import calls
from nodeplug.operations.cluster.calls import News
from nodeplug.operations.cluster.courier import Call, Courier, Reply
from nodeplug.operations.cluster.health_news import (
    Ailments,
    ailments,
    newly_sick,
    recovery_news,
    sick_news,
)
from nodeplug.operations.cluster.node_names import is_node_name
from nodeplug.operations.cluster.users import find_users
from nodeplug.operations.probes import Probes
from nodeplug.operations.view import View
from nodeplug.values.errors import ClusterError

# One batch of calls in this time, and so many events in it.
BATCH_SECONDS = 10.0
EVENTS_LIMIT = 10
# A condition older than this says that nobody cares for it any more.
_CONDITION_SECONDS = 300.0
_LONGEST_PAUSE = 300.0
_CONFLICT = 409

_log = logging.getLogger("nodeplug.cluster")


class Announcer:
    """Compares what it told with what is, and tells the difference.

    What changes back between two batches is not told; what could not be told is told later.
    """

    def __init__(
        self,
        settings: ClusterSettings,
        node: str,
        view: View,
        courier: Courier,
    ) -> None:
        self._settings = settings
        self._node = node
        self._view = view
        self._probes = Probes(view)
        self._courier = courier
        self._told: Ailments = {}
        self._failing: dict[str, str] = {}
        self._refused: tuple[str, ...] = ()
        self._counts: dict[News, int] = {}
        self._condition: tuple[bool, float, float] | None = None
        self._tainted = bool(settings.remove_taint)

    async def run(self) -> None:
        """Tell until cancelled."""
        if not is_node_name(self._node):
            return
        pause, failed = BATCH_SECONDS, False
        while True:
            try:
                await self.tell()
                pause, failed = BATCH_SECONDS, False
            except ClusterError as error:
                if not failed:
                    _log.error("API server not told", extra={"nodeplug": {"error": str(error)}})
                pause, failed = min(2 * pause, _LONGEST_PAUSE), True
            await asyncio.sleep(pause)

    async def tell(self) -> None:
        """Tell once what has changed. Raise ClusterError; the rest is told next time."""
        if self._settings.events:
            await self._tell_events()
        if self._settings.condition or self._tainted:
            troubles = await self._probes.troubles()
            if self._settings.condition:
                await self._tell_condition(troubles)
            if self._tainted and not troubles and self._view.agent().resources:
                await self._remove_taint()

    async def _tell_events(self) -> None:
        report, reload = self._view.agent(), self._view.configuration()
        now = ailments(report)
        failing = {each.pool.resource: each.error for each in report.resources if each.error}
        sick = newly_sick(self._told, now)
        users = await find_users(self._view.pod_resources) if sick else {}
        news = [
            *sick_news(sick, users),
            *recovery_news(self._told, now),
            *_new_failures(self._failing, failing),
            *_new_refusals(self._refused, reload.problems),
        ]
        await self._post(_bounded(news))
        self._told, self._failing, self._refused = now, failing, reload.problems

    async def _post(self, news: Sequence[News]) -> None:
        if not news:
            return
        replies = await self._courier.send([calls.event(self._node, each) for each in news])
        known = [each for each, reply in zip(news, replies, strict=True) if _exists(reply)]
        again = []
        for each in known:
            self._counts[each] = self._counts.get(each, 1) + 1
            again.append(calls.event_again(self._node, each, self._counts[each]))
        if again:
            replies += await self._courier.send(again)
        _check([reply for reply in replies if not _exists(reply)])

    async def _tell_condition(self, troubles: Sequence[str]) -> None:
        ready, now = not troubles, time.time()
        before = self._condition
        if before and before[0] == ready and now - before[2] < _CONDITION_SECONDS:
            return
        since = before[1] if before and before[0] == ready else now
        kind = _condition_type([each.name for each in self._view.agent().backends])
        _check(await self._courier.send([calls.condition(self._node, kind, troubles, since)]))
        self._condition = ready, since, now

    async def _remove_taint(self) -> None:
        [found] = replies = await self._courier.send([calls.get_node(self._node)])
        _check(replies)
        call = calls.without_taint(self._node, self._settings.remove_taint, found.body)
        if call is not None:
            await self._send_checked(call)
            facts = {"taint": self._settings.remove_taint}
            _log.info("taint removed from the node", extra={"nodeplug": facts})
        self._tainted = False

    async def _send_checked(self, call: Call) -> None:
        _check(await self._courier.send([call]))


def _new_failures(before: dict[str, str], now: dict[str, str]) -> Iterator[News]:
    for resource, error in now.items():
        if before.get(resource) != error:
            yield News("RegistrationFailing", f"the kubelet does not accept {resource}: {error}")


def _new_refusals(before: Sequence[str], now: Sequence[str]) -> Iterator[News]:
    if tuple(now) != tuple(before):
        for problem in now:
            yield News("ConfigurationRefused", problem)


def _bounded(news: Sequence[News]) -> list[News]:
    if len(news) <= EVENTS_LIMIT:
        return list(news)
    kept = list(news[: EVENTS_LIMIT - 1])
    return [*kept, News("ManyChanges", f"{len(news) - len(kept)} more changes of devices")]


def _condition_type(backends: Sequence[str]) -> str:
    one = backends[0] if len(backends) == 1 else ""
    return f"Nodeplug{''.join(word.capitalize() for word in one.split('_'))}Ready"


def _exists(reply: Reply) -> bool:
    return reply.status == _CONFLICT


def _check(replies: Sequence[Reply]) -> None:
    for reply in replies:
        if not reply.good:
            raise ClusterError(f"the API server refuses: {reply.message}")
