"""Showing a walk while it goes."""

import click

from nodeplug.cli.tables import printable
from nodeplug.simulate.report import Check


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
