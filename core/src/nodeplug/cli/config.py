"""`nodeplug config check` and `nodeplug config schema`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from nodeplug.backend import BackendSpec
from nodeplug.cli.options import USAGE, source_of
from nodeplug.cli.tables import print_json, printable
from nodeplug.config.document import read_document
from nodeplug.config.load import Source, load_configuration, schema
from nodeplug.config.settings import KubeletSettings
from nodeplug.kubelet.sockets import check_length
from nodeplug.loader import installed, load_each
from nodeplug.values.errors import ConfigError, KubeletDirectoryError, NodeplugError


@click.group("config")
def command() -> None:
    """Check configuration files, print their schema."""


@command.command("check")
@click.argument("files", nargs=-1, required=True)
def check(files: tuple[str, ...]) -> None:
    """Check files; print one line per error, or nothing. Exit 2 if there is any.

    NAME=FILE checks the file of the device plugin that a backend replaces, and shows what of it is
    ignored.
    """
    errors = [error for file in files for error in _errors(source_of(file))]
    for error in errors:
        click.echo(str(error), err=True)
    sys.exit(USAGE if errors else 0)


@command.command("schema")
def print_schema() -> None:
    """Print the JSON schema of a configuration file for the installed backends."""
    results = load_each(installed())
    print_json(schema({n: s for n, s in results.items() if isinstance(s, BackendSpec)}))


def _errors(source: Source) -> list[NodeplugError]:
    file = source.path
    try:
        results = load_each([source.backend] if source.backend else _named(file))
        specs = {name: s for name, s in results.items() if isinstance(s, BackendSpec)}
        configuration = load_configuration([source], specs)
    except ConfigError as error:
        return [error]
    for line in configuration.ignored:
        click.echo(f"ignored: {printable(line)}")
    broken = [
        ConfigError(f"{file}: backends.{name}: {error}")
        for name, error in results.items()
        if not isinstance(error, BackendSpec)
    ]
    return [*broken, *configuration.errors, *_too_long(file, configuration.agent.kubelet)]


def _too_long(file: Path, kubelet: KubeletSettings) -> Iterator[ConfigError]:
    directories = {
        "devicePluginDir": kubelet.device_plugin_dir,
        "pluginRegistryDir": kubelet.registry,
    }
    for key, directory in directories.items():
        try:
            check_length(Path(directory))
        except KubeletDirectoryError as error:
            yield ConfigError(f"{file}: kubelet.{key}: {error}")


def _named(file: Path) -> list[str]:
    document = read_document(file)
    names = document.get("backends") if isinstance(document, dict) else None
    return list(names) if isinstance(names, dict) else []
