"""What happened, in order, and whoever waits for something to happen."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from nodeplug.kubelet.api import deviceplugin_v1beta1_pb2 as api

# Of seconds: to the second, or with patience.
Limit = Callable[[float], AbstractAsyncContextManager[object]]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, of a kind and mostly to a resource.

    Kinds are "start", "register", "list", "stream end", "disconnect" (a plugin is taken for gone),
    "preferred", "allocate", "reject", "checkpoint" (what is wrong with it) and "pod sync" (a list
    that makes it look at a pod anew).
    `at` is real monotonic time. `detail` is the error text of a registration, the cause of a
    stream's end, the ids of an allocation, or which pod was rejected and why. `count` and `size`
    are the devices and bytes of a list. `request` is what a plugin registered with, or what
    would have come to the same where the kubelet `found` it: then that is the socket's path.
    """

    at: float
    kind: str
    resource: str
    detail: str = ""
    count: int = 0
    size: int = 0
    request: api.RegisterRequest | None = None
    found: str = ""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that would crash a real kubelet or give a device away twice."""

    rule: str
    text: str


@dataclass(slots=True)
class Journal:
    """All events and violations so far."""

    events: list[Event] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, kind: str, resource: str, detail: str = "", **facts: Any) -> None:
        """Add an event with these fields and wake whoever waits."""
        self.events.append(Event(time.monotonic(), kind, resource, detail, **facts))
        self.wake()

    def violate(self, rule: str, text: str) -> None:
        """Add a violation, unless it is known."""
        if (violation := Violation(rule, text)) not in self.violations:
            self.violations.append(violation)
        self.wake()

    def of(self, kind: str, resource: str | None = None) -> list[Event]:
        """Return the events of a kind."""
        return [
            event
            for event in self.events
            if event.kind == kind and resource in {None, event.resource}
        ]

    def wake(self) -> None:
        """Let everyone who waits look again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(
        self, holds: Callable[[], bool], seconds: float, within: Limit = asyncio.timeout
    ) -> None:
        """Return as soon as the condition holds; raise TimeoutError with the latest events."""
        try:
            async with within(seconds):
                while not holds():
                    await self._changed.wait()
        except TimeoutError:
            latest = "\n".join(map(str, [*self.violations, *self.events[-20:]]))
            raise TimeoutError(f"not within {seconds} s; latest events:\n{latest}") from None
