"""What a walk found: checks with figures, printed as they come or as JSON."""

from dataclasses import dataclass, field

import click

from nodeplug.cli.tables import printable


@dataclass(slots=True)
class Check:
    """One check: what it is, whether it held, its figures, and lines that show what was seen."""

    name: str
    held: bool = False
    figures: dict[str, float | int | str] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    problem: str = "not reached"

    def as_json(self) -> dict[str, object]:
        """Return the check as JSON holds it."""
        return {
            "check": self.name,
            "held": self.held,
            "figures": self.figures,
            "shown": self.shown,
            "problem": self.problem,
        }


class Progress:
    """Prints checks while they are walked, unless quiet."""

    def __init__(self, total: int, *, quiet: bool) -> None:
        self._total = total
        self._quiet = quiet
        self._number = 0

    def begin(self, name: str) -> None:
        """Tell that a check begins."""
        self._number += 1
        self._say(f"{self._number}/{self._total}  {name} ...")

    def end(self, check: Check) -> None:
        """Tell how it went."""
        for line in check.shown:
            self._say(f"       {printable(line)}")
        for name, figure in check.figures.items():
            self._say(f"       {name:<44} {figure}")
        verdict = (
            click.style("held", fg="green")
            if check.held
            else click.style(f"BROKEN: {printable(check.problem)}", fg="red")
        )
        self._say(f"     {verdict}")

    def _say(self, line: str) -> None:
        if not self._quiet:
            click.echo(line)
