"""Options and errors that several commands share."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click
import msgspec

from nodeplug.backend import BackendSpec
from nodeplug.cli.tables import printable
from nodeplug.config.load import Configuration, NodeFacts, Source, load_configuration
from nodeplug.host.identities import Identities
from nodeplug.loader import load_each
from nodeplug.supervisor.installation import identities
from nodeplug.values.errors import ConfigError, LoadError

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
    is_eager=True,
    help="A backend by its entry-point name; may be repeated.",
)


def _sources(ctx: click.Context, _: click.Parameter, values: Sequence[str]) -> list[Source]:
    sources = [source_of(value) for value in values]
    for source in sources:
        if source.backend and source.backend not in ctx.params.get("names", ()):
            raise click.BadParameter(f"{source.path}: --backend {source.backend} is not given")
    return sources


def source_of(value: str) -> Source:
    """Return the file that FILE or NAME=FILE means."""
    backend, sign, path = value.partition("=")
    is_bound = bool(sign) and backend.isidentifier()
    return Source(Path(path), backend) if is_bound else Source(Path(value))


config_option: Callable[..., Any] = click.option(
    "--config",
    "sources",
    multiple=True,
    metavar="FILE|NAME=FILE",
    callback=_sources,
    help="A configuration file; of several, later ones win. With a backend's name before it, the "
    "file of the device plugin that the backend replaces.",
)


def node_facts() -> NodeFacts:
    """Return what the environment tells of this node; leave if it tells nonsense."""
    labels_file = os.environ.get("NODE_LABELS_FILE")
    try:
        labels = msgspec.json.decode(Path(labels_file).read_bytes()) if labels_file else {}
        return NodeFacts(os.environ.get("NODE_NAME", ""), msgspec.convert(labels, dict[str, str]))
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        fail(f"{labels_file}: NODE_LABELS_FILE is not a JSON object of labels: {error}", USAGE)


def report(message: str) -> None:
    """Print one line to standard error."""
    click.echo(f"nodeplug: {message}", err=True)


def fail(message: str, code: int) -> NoReturn:
    """Print one line to standard error and leave."""
    report(message)
    sys.exit(code)


def load_or_leave(sources: Sequence[Source], specs: Mapping[str, BackendSpec]) -> Configuration:
    """Return the configuration; leave where a file as a whole is unusable."""
    try:
        configuration = load_configuration(sources, specs, node_facts())
    except ConfigError as error:
        fail(str(error), USAGE)
    for override in configuration.undecided:
        report(printable(override))
    return configuration


def load_or_report(names: tuple[str, ...]) -> Mapping[str, BackendSpec]:
    """Return the backends that can be loaded, having reported the others; leave if none can."""
    results = load_each(dict.fromkeys(names))
    for result in results.values():
        if isinstance(result, LoadError):
            report(str(result))
    specs = {name: spec for name, spec in results.items() if isinstance(spec, BackendSpec)}
    if not specs:
        fail("no backend can be served", USAGE)
    return specs


def installation_of(sources: Sequence[Source]) -> str:
    """Return whose agent is meant where nobody says: that of these configuration files."""
    by_files = ":".join(str(source.path.absolute()) for source in sources)
    return os.environ.get("NODEPLUG_INSTALLATION") or by_files


def known_ids(sources: Sequence[Source], configuration: Configuration) -> Identities:
    """Return what the agent of these files remembers of ids, to read only."""
    plugin_dir = Path(configuration.agent.kubelet.device_plugin_dir)
    return identities(plugin_dir, installation_of(sources), writes=False)
