"""Telling what changes on a node by Events."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from nodeplug.operations.cluster import calls
from nodeplug.operations.cluster.calls import News
from nodeplug.operations.cluster.courier import Call, Courier, Reply, check
from nodeplug.operations.cluster.node_news import Fact, Facts, changed, facts_of, news_of, worse
from nodeplug.operations.cluster.users import find_users
from nodeplug.operations.view import View

# So many events in one batch.
EVENTS_LIMIT = 10
_COUNTS_LIMIT = 256
_CONFLICT = 409
# What the API server will not take at another time either.
_FOR_GOOD = frozenset({400, 413, 422})

_log = logging.getLogger("nodeplug.cluster")


class _Item(NamedTuple):
    news: News
    facts: tuple[Fact, ...]


class EventTeller:
    """Compares what it told with what is, and tells the difference.

    What changes back between two batches is not told; what could not be told is told later.
    """

    about = "events"

    def __init__(self, node: str, view: View, courier: Courier) -> None:
        self._node = node
        self._view = view
        self._courier = courier
        self._told: dict[Fact, str] = {}
        self._counts: dict[News, int] = {}

    async def tell(self) -> None:
        """Tell once what has changed. Raise ClusterError; what is refused is told next time."""
        now = facts_of(self._view.agent(), self._view.configuration())
        changes = changed(self._told, now)
        users = await find_users(self._view.pod_resources) if worse(changes, now) else {}
        items = []
        for fact in changes:
            news = news_of(fact, self._told.get(fact, ""), now.get(fact), users)
            if news is None:
                self._note(now, fact)
            else:
                items.append(_Item(news, (fact,)))
        await self._post(_bounded(items), now)

    def _note(self, now: Facts, *facts: Fact) -> None:
        for fact in facts:
            self._told.pop(fact, None)
            if fact in now:
                self._told[fact] = now[fact]

    async def _post(self, items: Sequence[_Item], now: Facts) -> None:
        if not items:
            return
        events = [calls.event(self._node, item.news) for item in items]
        replies = dict(zip(items, await self._courier.send(events), strict=True))
        known = [item for item, reply in replies.items() if reply.status == _CONFLICT]
        self._take(replies, now)
        if known:
            again = [self._again(item.news) for item in known]
            patched = dict(zip(known, await self._courier.send(again), strict=True))
            self._take(patched, now)
            replies |= patched
        check([reply for reply in replies.values() if reply.status not in _FOR_GOOD])

    def _take(self, replies: Mapping[_Item, Reply], now: Facts) -> None:
        """Note what was told, and what is never going to be."""
        for item, reply in replies.items():
            if reply.status in _FOR_GOOD:
                facts = {"event": item.news.message, "error": reply.message}
                _log.error("event refused", extra={"nodeplug": facts})
            if reply.good or reply.status in _FOR_GOOD:
                self._note(now, *item.facts)

    def _again(self, news: News) -> Call:
        count = self._counts.pop(news, 1) + 1
        self._counts[news] = count
        while len(self._counts) > _COUNTS_LIMIT:
            del self._counts[next(iter(self._counts))]
        return calls.event_again(self._node, news, count)


def _bounded(items: Sequence[_Item]) -> list[_Item]:
    items = sorted(items, key=lambda item: not item.news.warning)
    if len(items) <= EVENTS_LIMIT:
        return items
    kept, rest = items[: EVENTS_LIMIT - 1], items[EVENTS_LIMIT - 1 :]
    summary = News("ManyChanges", f"{len(rest)} more changes of devices")
    return [*kept, _Item(summary, tuple(fact for item in rest for fact in item.facts))]
