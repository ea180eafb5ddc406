"""Both sides, step by step."""

import asyncio
import itertools
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from kubelets.process import DiedError
from kubelets.walk.masks import masked
from kubelets.walk.plan import RESOURCES
from kubelets.walk.plugin import Call
from kubelets.walk.side import OurSide, RealSide, Side, Sight
from kubelets.walk.steps import Step
from nodeplug.testing import Order, Profile, Topology
from nodeplug.testing.patience import patience

_T = TypeVar("_T")
# How long the sides may take to come to the same state after a step.
_SECONDS = 5.0


class DifferenceError(AssertionError):
    """The embedded kubelet does not do what the real one does."""


@dataclass(frozen=True, slots=True)
class Touch:
    """A resource that the real kubelet dealt with, and the ids that it wanted of it."""

    resource: str
    ids: frozenset[str] = frozenset()


class Lead(Order):
    """Lets the embedded kubelet go through its maps as the real one has gone through its own.

    Where any order and any device will do, it is led to the same; what the real one could not
    have chosen by our rules, it cannot follow, and a difference shows.
    """

    def __init__(self, touched: Sequence[Touch], side: OurSide) -> None:
        super().__init__()
        self._touched = touched
        self._side = side
        self._before = len(calls_of(side, 0))

    def of(self, things: Iterable[_T]) -> list[_T]:
        """Return the things, those first that the real kubelet met next."""
        ahead = self._touched[len(calls_of(self._side, 0)) - self._before :]
        ids = next((touch.ids for touch in ahead if touch.ids), frozenset())
        resources = [touch.resource for touch in ahead]
        registered = self._side.kubelet._tables.healthy

        def rank(thing: object) -> int:
            if not isinstance(thing, str):
                return 0
            if thing in ids:
                return -1
            if thing in resources:
                return resources.index(thing)
            # One without a plugin was left alone if another had made the kubelet free devices.
            return len(resources) + (thing not in registered)

        return sorted(things, key=rank)


def calls_of(side: Side, start: int) -> list[Call]:
    """Return the calls that belong to pods, from one on."""
    return [c for c in side.calls.all[start:] if c.method != "GetDevicePluginOptions"]


class Twin:
    """An embedded kubelet beside a real one."""

    def __init__(self, version: str, profile: Profile, topology: Topology) -> None:
        self.real = RealSide(version, topology)
        self.ours = OurSide(profile, topology)
        self.history: list[Step] = []

    async def open(self) -> None:
        """Start both."""
        await self.real.open()
        await self.ours.open()

    async def close(self) -> None:
        """End both."""
        async with AsyncExitStack() as ends:
            ends.push_async_callback(self.ours.close)
            ends.push_async_callback(self.real.close)

    async def play(self, step: Step) -> Any:
        """Let a step happen on both sides; return its outcome, or raise DifferenceError."""
        self.history.append(step)
        start = len(self.real.calls.all), len(self.real.kubelet.journal.events)
        outcome = await self._tried(step, self.real)
        expected = masked(outcome)
        self.ours.kubelet.order = Lead(self._touched(*start, outcome), self.ours)
        found = masked(await self._tried(step, self.ours))
        if expected != found:
            tables = f"real {self.real.tables()}\nours {self.ours.tables()}"
            raise DifferenceError(f"outcome: real {expected!r}\n    ours {found!r}\n{tables}")
        await self._agree()
        return expected

    async def play_together(self, step: Step) -> Any:
        """Let a step happen on both sides at once: one that waits for the kubelet's clock."""
        self.history.append(step)
        outcomes = await asyncio.gather(self._tried(step, self.real), self._tried(step, self.ours))
        expected, found = map(masked, outcomes)
        if expected != found:
            raise DifferenceError(f"outcome: real {expected!r}\n    ours {found!r}")
        await self._agree()
        return expected

    async def _tried(self, step: Step, side: Side) -> Any:
        try:
            return await step.play(side)
        except (TimeoutError, DiedError) as error:
            raise DifferenceError(f"{type(side).__name__}: {error}") from error

    def _touched(self, calls: int, events: int, outcome: Any) -> Sequence[Touch]:
        prepared = [c for c in self.real.calls.all[calls:] if c.method == "PreStartContainer"]
        touched = [Touch(self.real.plugins[call.plugin].resource) for call in prepared]
        for event in self.real.kubelet.journal.events[events:]:
            if event.kind == "allocate":
                touched.append(Touch(event.resource, frozenset(event.detail.split(","))))
            elif event.kind == "preferred":
                touched.append(Touch(event.resource))
        if isinstance(outcome, str):
            touched += [Touch(name) for name in RESOURCES if name in outcome]
        return touched

    async def _agree(self) -> None:
        try:
            async with patience(_SECONDS):
                while any(self._differences()):  # noqa: ASYNC110 - tables tell nobody
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise DifferenceError("\n".join(self._differences())) from None

    def _differences(self) -> Iterable[str]:
        real, ours = self.real.see(), self.ours.see()
        for name in ("tables.node", "tables.listed", "tables.in_use", "tables.pods"):
            yield from _difference(name, _get(real, name), _get(ours, name))
        for field in fields(Sight)[1:]:
            yield from _difference(field.name, getattr(real, field.name), getattr(ours, field.name))
        yield from _difference("R33", *(_crashes(side) for side in (self.real, self.ours)))


def _get(sight: Sight, path: str) -> Any:
    return getattr(sight.tables, path.partition(".")[2])


def _crashes(side: Side) -> list[str]:
    return [v.text for v in side.kubelet.journal.violations if v.rule == "R33"]


def _difference(name: str, real: Any, ours: Any) -> Iterable[str]:
    if real == ours:
        return
    if isinstance(real, Mapping) and isinstance(ours, Mapping):
        for key in sorted({*real, *ours}, key=str):
            yield from _difference(f"{name}[{key}]", real.get(key), ours.get(key))
    elif isinstance(real, tuple) and isinstance(ours, tuple) and len(real) + len(ours) > 8:
        same = sum(
            1 for _ in itertools.takewhile(lambda p: p[0] == p[1], zip(real, ours, strict=False))
        )
        yield f"{name}[{same}:]: real {real[same:]!r}\n    ours {ours[same:]!r}"
    else:
        yield f"{name}: real {real!r}\n    ours {ours!r}"
