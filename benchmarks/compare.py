"""`make compare PLUGIN='...'`: any device plugin beside one of our backends, figure by figure."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from typing import Any

import click

from benchmarks.report import Comparison, show_beside
from benchmarks.sides import ours, theirs
from benchmarks.versus import Counts, compared
from nodeplug.cli.interrupts import end_at_interrupt
from nodeplug.conformance.verdicts import Broken
from nodeplug.loader import installed

_OFTEN = click.IntRange(min=1)


@click.command()
@click.option(
    "--plugin",
    required=True,
    help="How to start the plugin; {dir} stands for the kubelet's directory. Without it, the "
    "plugin sees that directory at its usual path (needs root).",
)
@click.option("--name", default="theirs", show_default=True, help="What to call it.")
@click.option("--ours", "backend", default="custom", type=click.Choice(sorted(installed())))
@click.option("--change", default="", help="A shell command that changes one of its devices.")
@click.option("--undo", default="", help="A shell command that undoes the change.")
@click.option("--seconds", default=10.0, show_default=True, help="What is later comes never.")
@click.option("--starts", default=10, show_default=True, type=_OFTEN)
@click.option("--restarts", default=50, show_default=True, type=_OFTEN, help="Of the kubelet.")
@click.option("--changes", default=25, show_default=True, type=_OFTEN, help="And their undoing.")
@click.option("--calls", default=2000, show_default=True, type=_OFTEN, help="Of Allocate.")
@click.option("--idle-seconds", default=10.0, show_default=True, help="How long to watch it idle.")
@click.option("--output", default="text", type=click.Choice(["text", "json"]))
def main(  # noqa: PLR0913, PLR0917 - as many options
    plugin: str,
    name: str,
    backend: str,
    change: str,
    undo: str,
    seconds: float,
    output: str,
    **counts: Any,
) -> None:
    """Run another device plugin beside one of our backends; print theirs, ours, and the ratio.

    Exit 1 if one of the two never lists anything, or a command that changes a device fails.
    """
    if bool(change) != bool(undo):
        raise click.UsageError("--change and --undo go together")
    end_at_interrupt()

    async def figures() -> AsyncIterator[Comparison]:
        async with (
            theirs(plugin, seconds, change, undo) as one,
            ours(backend, seconds) as other,
        ):
            async for figure in compared(one, other, Counts(**counts)):
                yield figure

    try:
        asyncio.run(_print(figures(), name, backend, output))
    except Broken as broken:
        raise click.ClickException(str(broken)) from broken
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)


async def _print(figures: AsyncIterator[Comparison], name: str, backend: str, output: str) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    if output == "text":
        await show_beside(figures, name, backend)
        return
    found = [figure.as_json() async for figure in figures]
    click.echo(json.dumps({"theirs": name, "ours": backend, "figures": found}, indent=2))


if __name__ == "__main__":
    main()
