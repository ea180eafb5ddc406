"""Families of samples that only grow, kept in a few hundred bytes each."""

import bisect
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import Literal

import msgspec

Kind = Literal["gauge", "counter", "histogram", "info"]


class Sample(msgspec.Struct, frozen=True):
    """One value: the suffix to the family's name, labels as pairs, the number."""

    suffix: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(msgspec.Struct, frozen=True):
    """Samples under one name, without the suffixes `_total`, `_info` and so on.

    `help` is one sentence for people.
    """

    name: str
    kind: Kind
    help: str
    samples: Sequence[Sample] = ()


class Counter(msgspec.Struct):
    """A number of events by labels. All labels of a call are given by position."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    _values: dict[tuple[str, ...], float] = msgspec.field(default_factory=dict)

    def add(self, *labels: str, amount: float = 1) -> None:
        """Count an event, or several."""
        self._values[labels] = self._values.get(labels, 0) + amount

    def value(self, *labels: str) -> float:
        """Return what was counted so far."""
        return self._values.get(labels, 0)

    def family(self) -> Family:
        """Return the present state."""
        samples = [
            Sample("_total", tuple(zip(self.labels, key, strict=True)), value)
            for key, value in self._values.items()
        ]
        return Family(self.name, "counter", self.help, samples)


class Gauge(msgspec.Struct):
    """A number that goes up and down; it has no sample until it is set."""

    name: str
    help: str
    _value: float | None = None

    def set(self, value: float) -> None:
        """Take the place of the former value."""
        self._value = value

    def family(self) -> Family:
        """Return the present state."""
        samples = [] if self._value is None else [Sample("", (), self._value)]
        return Family(self.name, "gauge", self.help, samples)


class Histogram(msgspec.Struct):
    """Durations in seconds by labels; `bounds` are the upper limits of the buckets."""

    name: str
    help: str
    bounds: tuple[float, ...]
    labels: tuple[str, ...] = ()
    _buckets: dict[tuple[str, ...], list[int]] = msgspec.field(default_factory=dict)
    _sums: dict[tuple[str, ...], float] = msgspec.field(default_factory=dict)

    def observe(self, seconds: float, *labels: str) -> None:
        """Count one duration."""
        buckets = self._buckets.setdefault(labels, [0] * (len(self.bounds) + 1))
        buckets[bisect.bisect_left(self.bounds, seconds)] += 1
        self._sums[labels] = self._sums.get(labels, 0) + seconds

    @contextmanager
    def timed(self, *labels: str) -> Iterator[None]:
        """Count how long the block takes, whether or not it fails."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.observe(time.monotonic() - started, *labels)

    def family(self) -> Family:
        """Return the present state."""
        samples = [sample for key in self._buckets for sample in self._samples(key)]
        return Family(self.name, "histogram", self.help, samples)

    def _samples(self, key: tuple[str, ...]) -> Iterator[Sample]:
        labels = tuple(zip(self.labels, key, strict=True))
        counts = list(accumulate(self._buckets[key]))
        bounds = [*map(repr, self.bounds), "+Inf"]
        for bound, count in zip(bounds, counts, strict=True):
            yield Sample("_bucket", (*labels, ("le", bound)), count)
        yield Sample("_count", labels, counts[-1])
        yield Sample("_sum", labels, self._sums[key])
