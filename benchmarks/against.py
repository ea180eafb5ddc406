"""`make against COMMIT=...`: agents of this tree beside those of an earlier commit, as ratios."""

import asyncio
import os
import signal
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import click

from benchmarks import trials
from benchmarks.stand import NotServedError
from benchmarks.trees import NoTreeError, Tree, earlier, working
from benchmarks.trials import Sizes, Trial
from nodeplug.cli.interrupts import end_at_interrupt

_USUAL = Sizes(
    calls=256,
    many=10_000,
    changes=6,
    quiet_seconds=0.3,
    apart_seconds=1.5,
    idle_seconds=10.0,
    settle_seconds=50.0,
)
_QUICK = Sizes(
    calls=16,
    many=300,
    changes=1,
    quiet_seconds=0.0,
    apart_seconds=0.0,
    idle_seconds=0.2,
    settle_seconds=0.0,
)
_MICROSECONDS, _MILLISECONDS, _MIB = "us", "ms", "MiB"


class Row(NamedTuple):
    """A figure's name in a sample, what it is, and what is promised: at most so much more.

    What is in MiB is compared by difference, all else by ratio.
    """

    key: str
    text: str
    unit: str
    limit: float | None = None


class Chapter(NamedTuple):
    """A trial, what it tells, and its share of the rounds."""

    trial: Trial
    rows: Sequence[Row]
    share: float = 1.0


def _allocate_rows(where: str) -> list[Row]:
    return [
        Row("cpu", f"Allocate{where}: CPU time of the agent", _MICROSECONDS, 1.05),
        Row("p50", f"Allocate{where}, p50", _MILLISECONDS, 1.05),
        Row("p99", f"Allocate{where}, p99", _MILLISECONDS),
        Row("memory", f"resident after Allocate of 272{where}", _MIB),
    ]


_CHAPTERS = (
    Chapter(
        trials.few,
        [Row("memory", "resident, 8 devices of 8 given", _MIB, 0.5)],
        share=1 / 3,
    ),
    Chapter(trials.alone, _allocate_rows("")),
    Chapter(trials.shared, _allocate_rows(" beside 3 agents")),
    Chapter(
        trials.many_simulated,
        [
            Row("change", "10,000 simulated: event to list", _MILLISECONDS, 1.1),
            Row("memory", "10,000 simulated: memory", _MIB),
        ],
        share=1 / 3,
    ),
    Chapter(
        trials.many_nodes,
        [
            Row("change", "10,000 nodes: event to list", _MILLISECONDS, 1.1),
            Row("memory", "10,000 nodes: resident", _MIB),
        ],
        share=1 / 3,
    ),
    Chapter(
        trials.blocked,
        [
            Row("soon", "idle, a device held: share of a core", "%"),
            Row("late", "the same a minute later", "%"),
        ],
        share=0.0,
    ),
)


@dataclass(frozen=True, slots=True)
class Beside:
    """One figure of the three sides, a value for each round: `again` is as old as `before`."""

    row: Row
    before: Sequence[float]
    now: Sequence[float]
    again: Sequence[float]

    @property
    def change(self) -> float:
        """What is now, compared with what was in the same round; the median over rounds."""
        return statistics.median(self._changes(self.now))

    @property
    def noise(self) -> float:
        """The same of two sides that are equal."""
        return statistics.median(self._changes(self.again))

    @property
    def spread(self) -> float:
        """How much the noise may be of the change: two standard errors, or what is seen of it."""
        changes = self._changes(self.again)
        none = 0.0 if self._differs else 1.0
        error = 0.0
        if len(changes) > 1:
            error = 2 * statistics.stdev(changes) / len(changes) ** 0.5
        return max(error, abs(self.noise - none))

    @property
    def kept(self) -> bool:
        """Whether the promise holds, or is missed by no more than noise."""
        return self.row.limit is None or self.change <= self.row.limit + self.spread

    @property
    def _differs(self) -> bool:
        return self.row.unit == _MIB

    def _changes(self, values: Sequence[float]) -> list[float]:
        pairs = list(zip(values, self.before, strict=True))
        if self._differs:
            return [value - before for value, before in pairs]
        return [value / before if before else 1.0 for value, before in pairs]

    def line(self) -> str:
        """Return the line of the table."""
        row, form = self.row, "+.2f" if self._differs else ".3f"
        was, now = (f"{statistics.median(v):.2f} {row.unit}" for v in (self.before, self.now))
        noise = f"{self.noise:{form}} ±{self.spread:.{3 - self._differs}f}"
        promise = "-" if row.limit is None else f"<= {row.limit:{'+.1f' if self._differs else 'g'}}"
        verdict = "" if self.kept else "  BROKEN"
        change = f"{self.change:{form}}"
        cells = f"{was:>12} {now:>12} {change:>9} {noise:>14} {promise:>9}"
        return f"{row.text:<46} {cells}{verdict}"


@click.command()
@click.argument("commit")
@click.option("--rounds", default=12, show_default=True, type=click.IntRange(min=1))
@click.option("--quick", is_flag=True, help="Only see that it works; the figures mean nothing.")
@click.option("--only", multiple=True, type=click.Choice([c.trial.__name__ for c in _CHAPTERS]))
def main(commit: str, rounds: int, quick: bool, only: Sequence[str]) -> None:  # noqa: FBT001 - click's way
    """Run agents of this tree and, twice, of COMMIT in turns; print ratios of now to before.

    A/A is the ratio of the two that are equal, and what noise may make of it. Memory is compared
    by difference. Exit 1 if a promise is missed by more than noise. Needs root.
    """
    if os.geteuid():
        raise click.ClickException("making device nodes needs root")
    end_at_interrupt()
    sizes, rounds = (_QUICK, 1) if quick else (_USUAL, rounds)
    chapters = [each for each in _CHAPTERS if not only or each.trial.__name__ in only]
    try:
        with _terminable(), earlier(commit) as before, working() as now:
            kept = asyncio.run(_show((before, now, before), chapters, sizes, rounds))
    except (NoTreeError, NotServedError) as error:
        raise click.ClickException(str(error)) from error
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)
    sys.exit(0 if kept else 1)


async def _show(
    sides: Sequence[Tree], chapters: Sequence[Chapter], sizes: Sizes, rounds: int
) -> bool:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    heads = f"{'BEFORE':>12} {'NOW':>12} {'RATIO':>9} {'A/A':>14} {'PROMISE':>9}"
    click.secho(f"{'FIGURE':<46} {heads}", bold=True)
    kept = True
    for chapter in chapters:
        count = max(1, round(chapter.share * rounds))
        taken = [await chapter.trial(sides, sizes) for _ in range(count)]
        for beside in _compared(chapter.rows, taken):
            kept = kept and beside.kept
            click.secho(beside.line(), fg=None if beside.kept else "red")
    return kept


def _compared(rows: Sequence[Row], taken: Sequence[Sequence[Mapping[str, float]]]) -> list[Beside]:
    return [
        Beside(row, *[[sample[row.key] for sample in side] for side in zip(*taken, strict=True)])
        for row in rows
    ]


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM unwind what is open outside of the event loop, too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    main()
