"""Options and errors that several commands share."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from nodeplug.backend import BackendSpec
from nodeplug.config.load import NodeFacts
from nodeplug.loader import load_each
from nodeplug.values.errors import LoadError

USAGE = 2
FAILED = 1

output_option: Callable[..., Any] = click.option(
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to print.",
)
backends_option: Callable[..., Any] = click.option(
    "--backend",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A backend by its entry-point name; may be repeated.",
)
config_option: Callable[..., Any] = click.option(
    "--config",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A configuration file; of several, later ones win.",
)


def node_facts() -> NodeFacts:
    """Return what the environment tells of this node; leave if it tells nonsense."""
    labels_file = os.environ.get("NODE_LABELS_FILE")
    try:
        labels = msgspec.json.decode(Path(labels_file).read_bytes()) if labels_file else {}
        return NodeFacts(os.environ.get("NODE_NAME", ""), msgspec.convert(labels, dict[str, str]))
    except (OSError, msgspec.MsgspecError) as error:
        fail(f"{labels_file}: NODE_LABELS_FILE is not a JSON object of labels: {error}", USAGE)


def fail(message: str, code: int) -> NoReturn:
    """Print one line to standard error and leave."""
    click.echo(f"nodeplug: {message}", err=True)
    sys.exit(code)


def load_or_report(names: tuple[str, ...]) -> Mapping[str, BackendSpec]:
    """Return the backends that can be loaded, having reported the others; leave if none can."""
    results = load_each(dict.fromkeys(names))
    for result in results.values():
        if isinstance(result, LoadError):
            click.echo(f"nodeplug: {result}", err=True)
    specs = {name: spec for name, spec in results.items() if isinstance(spec, BackendSpec)}
    if not specs:
        fail("no backend can be served", USAGE)
    return specs
