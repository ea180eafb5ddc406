"""`nodeplug allocations`."""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import click
import msgspec

from nodeplug.backend import BackendSpec
from nodeplug.cli import forget
from nodeplug.cli.discovered import ask_each
from nodeplug.cli.interrupts import end_at_interrupt
from nodeplug.cli.options import (
    FAILED,
    config_option,
    fail,
    load_or_leave,
    load_or_report,
    output_option,
    report,
)
from nodeplug.cli.tables import print_json, print_table, printable
from nodeplug.config.load import Configuration, Source
from nodeplug.operations.allocations import Row, Sources, changed, follow, look
from nodeplug.operations.discovery import discover
from nodeplug.values.errors import PodResourcesError

_COLUMNS = ("resource", "id", "numa", "health", "namespace", "pod", "container", "note")


@click.group("allocations", invoke_without_command=True)
@click.option(
    "--backend",
    "names",
    multiple=True,
    metavar="NAME",
    is_eager=True,
    help="Discover this backend's devices to say why one is unhealthy; may be repeated.",
)
@config_option
@click.option("--watch", is_flag=True, help="Print what changes, until interrupted.")
@click.option(
    "--interval",
    type=click.FloatRange(min=0.5),
    default=5.0,
    show_default=True,
    help="With --watch, seconds after which to look in any case.",
)
@output_option
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - click's way
    ctx: click.Context,
    names: tuple[str, ...],
    sources: list[Source],
    watch: bool,  # noqa: FBT001
    interval: float,
    output: str,
) -> None:
    """Show which pod has which device.

    Exit 1 if the kubelet does not say, or a backend's discovery fails; 2 if a part of the
    configuration is wrong.
    """
    if ctx.invoked_subcommand:
        ctx.obj = sources
        return
    specs = load_or_report(names) if names else {}
    configuration = load_or_leave(sources, specs)
    kubelet = configuration.agent.kubelet
    directories = Path(kubelet.pod_resources_socket), Path(kubelet.device_plugin_dir)
    if watch:
        end_at_interrupt()
    with suppress(KeyboardInterrupt):
        interval = interval if watch else 0
        sys.exit(asyncio.run(_show(specs, configuration, directories, interval, output)))


command.add_command(forget.command)


async def _show(
    specs: Mapping[str, BackendSpec],
    configuration: Configuration,
    directories: tuple[Path, Path],
    interval: float,
    output: str,
) -> int:
    inventories, code = await ask_each(discover, specs, configuration)
    found = {i: device for each in inventories.values() for i, device in each.devices.items()}
    sources = Sources(*directories, found)
    try:
        rows = await look(sources)
    except PodResourcesError as error:
        fail(printable(str(error)), FAILED)
    if not interval:
        _print(rows, output)
        return code
    try:
        await follow(sources, interval, _Teller(output).tell)
    except OSError as error:
        fail(f"changes cannot be watched: {error}", FAILED)
    return code


class _Teller:
    """Prints what is new: first everything, then only changes, each with its time."""

    def __init__(self, output: str) -> None:
        self._output = output
        self._before: list[Row] = []
        self._silent = False

    def tell(self, news: list[Row] | PodResourcesError) -> None:
        if isinstance(news, PodResourcesError):
            if not self._silent:
                report(printable(str(news)))
            self._silent = True
            return
        self._silent = False
        now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        for row in changed(self._before, news):
            if self._output == "json":
                click.echo(json.dumps({"time": now} | _facts(row)))
            else:
                cells = (cell for cell in _cells(row) if cell != "-")
                click.echo(printable("  ".join([now, *cells])))
        self._before = news


def _print(rows: Sequence[Row], output: str) -> None:
    if output == "json":
        print_json([_facts(row) for row in rows])
    else:
        print_table(_COLUMNS, [_cells(row) for row in rows])


def _facts(row: Row) -> dict[str, object]:
    facts: dict[str, object] = msgspec.to_builtins(row)
    return facts | {"unhealthyInUse": row.alarming}


def _cells(row: Row) -> list[str]:
    numa = ",".join(map(str, row.numa_nodes))
    note = ": ".join(filter(None, ["IN USE, NOT HEALTHY" if row.alarming else "", row.reason]))
    cells = (row.resource, row.id, numa, row.health, row.namespace, row.pod, row.container, note)
    return [cell or "-" for cell in cells]
