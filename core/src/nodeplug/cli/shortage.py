"""`nodeplug shortage`."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from nodeplug.cli.options import FAILED
from nodeplug.cli.tables import printable
from nodeplug.operations.cluster.courier import ACCOUNT, Courier
from nodeplug.operations.cluster.shortage import places, short
from nodeplug.values.errors import ClusterError, InvalidValueError
from nodeplug.values.names import check_resource_name

_PAUSE = 2.0


def _wanted(_: click.Context, __: click.Parameter, values: Sequence[str]) -> dict[str, int]:
    try:
        pairs = (value.partition("=") for value in values)
        return {check_resource_name(name): int(count or 1) for name, _, count in pairs}
    except (InvalidValueError, ValueError) as error:
        raise click.BadParameter(str(error)) from error


@click.command("shortage")
@click.argument("resources", nargs=-1, required=True, callback=_wanted, metavar="NAME[=COUNT]...")
@click.option("--namespace", required=True, help="That of the release.")
@click.option("--selector", required=True, help="Labels of the release's agents.")
@click.option("--node", "names", multiple=True, help="A node that must have all of it.")
@click.option("--every-node", is_flag=True, help="Whether every node with an agent must.")
@click.option("--seconds", default=45.0, show_default=True, help="How long it may take.")
@click.option("--account", default=ACCOUNT, type=click.Path(path_type=Path), hidden=True)
def command(  # noqa: PLR0913 - all are options
    *,
    resources: Mapping[str, int],
    namespace: str,
    selector: str,
    names: tuple[str, ...],
    every_node: bool,
    seconds: float,
    account: Path,
) -> None:
    """Wait until devices are free for pods; else say which are short on which node, and why.

    For a pod in the cluster that may get nodes and list pods. Exit 1 if any is short.
    """

    async def look() -> list[str]:
        end = time.monotonic() + seconds
        courier = Courier(account)
        while True:
            try:
                found = await places(courier, namespace, selector)
                lines = short(resources, found, names, everywhere=every_node)
            except ClusterError as error:
                lines = [str(error)]
            if not lines or time.monotonic() + _PAUSE > end:
                return lines
            await asyncio.sleep(_PAUSE)

    lines = asyncio.run(look())
    for line in lines:
        click.echo(printable(line))
    if not lines:
        click.echo("enough is free: " + ", ".join(f"{n} {r}" for r, n in resources.items()))
    sys.exit(FAILED if lines else 0)
