"""Figures beside their promises."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass

import click

# A figure, or why there is none.
Measured = float | str
NEVER = "never"
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; a limit of 0 means that nothing is promised."""

    name: str
    value: float
    unit: str
    limit: float = 0.0
    beside: str = ""

    @property
    def kept(self) -> bool:
        """Whether the promise holds here."""
        return not self.limit or self.value <= self.limit


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of another plugin and the same of ours; less is better."""

    name: str
    unit: str
    theirs: Measured
    ours: Measured

    @property
    def ratio(self) -> float | None:
        """Ours as a multiple of theirs, where both are known."""
        if isinstance(self.theirs, str) or isinstance(self.ours, str) or not self.theirs:
            return None
        return self.ours / self.theirs

    def as_json(self) -> dict[str, str | float | None]:
        """Return everything under the names of the fields."""
        return asdict(self) | {"ratio": self.ratio}


def show(figures: Iterator[Figure]) -> bool:
    """Print figures as they come; return whether all promises held."""
    click.secho(f"{'FIGURE':<58} {'MEASURED':>12}  {'PROMISE':>12}", bold=True)
    held = True
    for figure in figures:
        held = held and figure.kept
        promise = f"<= {figure.limit:g} {figure.unit}" if figure.limit else "-"
        line = f"{figure.name:<58} {figure.value:>8.2f} {figure.unit:<3}  {promise:>12}"
        verdict = "" if figure.kept else "  BROKEN"
        click.secho(f"{line}  {figure.beside}{verdict}", fg=None if figure.kept else "red")
    return held


async def show_beside(figures: AsyncIterator[Comparison], theirs: str, ours: str) -> None:
    """Print comparisons as they come."""
    click.secho(f"{'FIGURE':<46} {theirs:>16} {ours:>16}  OURS/THEIRS", bold=True)
    async for figure in figures:
        measured = [_text(value, figure.unit) for value in (figure.theirs, figure.ours)]
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
        click.echo(f"{figure.name:<46} {measured[0]:>16} {measured[1]:>16} {ratio:>12}")


def _text(value: Measured, unit: str) -> str:
    return value if isinstance(value, str) else f"{value:.2f} {unit}"


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * len(ordered)))]
