"""Figures beside their promises."""

from collections.abc import Iterator
from dataclasses import dataclass

import click


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


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * len(ordered)))]
