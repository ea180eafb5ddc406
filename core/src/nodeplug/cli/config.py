"""`nodeplug config`."""

import asyncio
import logging
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import click

from nodeplug.backend import BackendSpec
from nodeplug.cli import config_diff
from nodeplug.cli.named import backends_of
from nodeplug.cli.options import USAGE, source_of
from nodeplug.cli.tables import print_json, printable
from nodeplug.config.load import (
    Combination,
    Configuration,
    Source,
    load_combinations,
    schema,
)
from nodeplug.config.settings import KubeletSettings
from nodeplug.kubelet.sockets import check_length
from nodeplug.loader import installed, load_each
from nodeplug.operations.discovery import discover
from nodeplug.operations.rules import expected, idle, refused
from nodeplug.values.errors import ConfigError, KubeletDirectoryError, NodeplugError
from nodeplug.values.inventory import Inventory

# A backend whose driver hangs must not hold up a check for long.
_LOOK_SECONDS = 5.0
_WHERE = re.compile(r"\[\d+\]| \(line \d+, column \d+\)$")


@click.group("config")
def command() -> None:
    """Check configuration files, compare them, print their schema."""


command.add_command(config_diff.command)


@command.command("check")
@click.argument("files", nargs=-1, required=True)
def check(files: tuple[str, ...]) -> None:
    """Check files; print one line per error, or nothing. Exit 2 if there is any.

    Overrides for nodes are tried in every combination that a node can have. A rule of offers or
    quarantine that no device of this machine matches, or of offers that cannot hold for those that
    it has, is a warning, where its backends find any. NAME=FILE checks the file of the device
    plugin that a backend replaces, and shows what of it is ignored, and what its author may not
    expect.
    """
    logging.disable()  # backends that look at this machine would say what is wrong with it
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
        results = load_each(backends_of(source))
        specs = {name: s for name, s in results.items() if isinstance(s, BackendSpec)}
        found = list(load_combinations(source, specs))
    except ConfigError as error:
        return [error]
    broken = [
        ConfigError(f"{file}: backends.{name}: {error}")
        for name, error in results.items()
        if not isinstance(error, BackendSpec)
    ]
    said = found[0].said
    if isinstance(said, Configuration):
        for line in said.ignored:
            click.echo(f"ignored: {printable(line)}")
        for line in said.notes:
            click.echo(f"note: {printable(line)}")
        _warn(source, said, specs)
    return [*broken, *_once(found, specs)]


def _once(
    found: Sequence[Combination], specs: Mapping[str, BackendSpec]
) -> Iterator[NodeplugError]:
    """Yield what is wrong, in the first combination in which it is."""
    told: set[str] = set()
    for origin, said in found:
        wrong = [said] if isinstance(said, ConfigError) else _wrong(origin, said, specs)
        # An override's entries come first, so the same entry has another number, and no line.
        problems = {
            str(error): (_WHERE.sub("", str(error).removeprefix(str(origin))), error)
            for error in wrong
        }
        yield from (error for problem, error in problems.values() if problem not in told)
        told.update(problem for problem, _ in problems.values())


def _wrong(
    origin: Path, configuration: Configuration, specs: Mapping[str, BackendSpec]
) -> Iterator[NodeplugError]:
    yield from configuration.errors
    yield from _too_long(origin, configuration.agent.kubelet)
    for _, refusal in refused(configuration.agent, expected(configuration, specs)):
        yield ConfigError(f"{origin}: offers: {refusal.detail}")


def _warn(source: Source, configuration: Configuration, specs: Mapping[str, BackendSpec]) -> None:
    """Print what does not work on this machine, as far as it has the hardware."""
    inventories = asyncio.run(_found(configuration, specs))
    anyway = {*refused(configuration.agent, expected(configuration, specs))}
    here = {*refused(configuration.agent, inventories)} - anyway
    warnings = sorted(f"offers: {refusal.detail}" for _, refusal in here)
    if not source.backend:  # the rules that another plugin's file makes have no place in it
        all_known = bool(specs) and inventories.keys() == specs.keys()
        found = idle(configuration.agent, inventories, all_known=all_known)
        warnings += (f"{each.place}: {each.why}" for each in found)
    for warning in warnings:
        click.echo(f"warning: {source.path}: {printable(warning)}", err=True)


async def _found(
    configuration: Configuration, specs: Mapping[str, BackendSpec]
) -> dict[str, Inventory]:
    root = configuration.agent.host.root
    tried = configuration.valid
    results = await asyncio.gather(
        *(discover(specs[name], own, root, _LOOK_SECONDS) for name, own in tried.items()),
        return_exceptions=True,
    )
    return {name: r for name, r in zip(tried, results, strict=True) if isinstance(r, Inventory)}


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
