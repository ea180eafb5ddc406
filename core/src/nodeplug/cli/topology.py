"""`nodeplug topology`."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from nodeplug.cli.discovered import ask_each
from nodeplug.cli.options import (
    FAILED,
    backends_option,
    config_option,
    fail,
    load_or_leave,
    load_or_report,
    output_option,
)
from nodeplug.cli.tables import print_json, printable
from nodeplug.config.load import Source
from nodeplug.host.files import write_atomically
from nodeplug.operations.discovery import discover
from nodeplug.operations.topology.closeness import Closeness, closeness_of
from nodeplug.operations.topology.places import Spot, devices_in, spots_of, tree_of
from nodeplug.operations.topology.svg import draw
from nodeplug.operations.topology.text import LEGEND, MATRIX_LIMIT, matrix_lines, tree_lines


@click.command("topology")
@backends_option
@config_option
@click.option(
    "--svg", type=click.Path(path_type=Path), metavar="FILE", help="Draw it into this file too."
)
@output_option
def command(names: tuple[str, ...], sources: list[Source], svg: Path | None, output: str) -> None:
    """Show where the devices are, and which are close to each other.

    Physical devices are compared as preferred allocation compares them.
    """
    specs = load_or_report(names)
    found, code = asyncio.run(ask_each(discover, specs, load_or_leave(sources, specs)))
    nodes = tree_of(spots_of(found))
    spots = list(devices_in(nodes))
    links = {pair: weight for own in found.values() for pair, weight in own.links.items()}
    closeness = closeness_of(spots, links)
    if output == "json":
        print_json(_facts(spots, closeness))
    else:
        _print([*tree_lines(nodes)], closeness)
    if svg is not None:
        try:
            write_atomically(svg, draw(nodes, closeness).encode(), mode=0o644)
        except OSError as error:
            fail(f"{svg}: {error.strerror}", FAILED)
    sys.exit(code)


def _print(tree: Sequence[str], closeness: Closeness | None) -> None:
    for line in tree or ["no device was found"]:
        click.echo(printable(line))
    if closeness is None or len(closeness.ids) > MATRIX_LIMIT:
        click.echo(f"\nmore than {MATRIX_LIMIT} physical devices; their distances are left out")
    elif len(closeness.ids) > 1:
        click.echo()
        for line in [*matrix_lines(closeness), "", *LEGEND]:
            click.echo(printable(line))


def _facts(spots: Sequence[Spot], closeness: Closeness | None) -> dict[str, object]:
    devices = [
        {
            "backend": spot.backend,
            "id": spot.device.id,
            "resource": spot.device.resource,
            "health": spot.device.health.value,
            "parent": spot.device.parent,
            "numaNodes": list(spot.device.numa_nodes),
            "location": list(spot.device.location),
        }
        for spot in spots
    ]
    return {"devices": devices, "pairs": None if closeness is None else _pairs(closeness)}


def _pairs(closeness: Closeness) -> list[dict[str, object]]:
    return [
        {
            "devices": [closeness.ids[one], closeness.ids[other]],
            "closeness": closeness.weights[one][other],
            **closeness.ties(one, other)._asdict(),
        }
        for one, other in closeness.pairs()
    ]
