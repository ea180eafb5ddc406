"""`nodeplug clean-up`."""

import sys
from pathlib import Path

import click

from nodeplug.cli.options import FAILED, report
from nodeplug.cli.tables import printable
from nodeplug.host.root import HostRoot
from nodeplug.operations.cleaning import Cleaner


@click.command("clean-up")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="The host's root directory, as this process sees it.",
)
def command(root: Path) -> None:
    """Remove what nodeplug left on the host, of all installations; for when none is there any more.

    Exit 1 if something of it could not be removed.
    """
    cleaner = Cleaner(HostRoot(root.absolute()))
    cleaner.clean()
    for path in cleaner.removed:
        click.echo(f"removed {printable(path)}")
    for line in (*cleaner.notes, *cleaner.troubles):
        report(printable(line))
    sys.exit(FAILED if cleaner.troubles else 0)
