"""The commands that backends bring along."""

from collections.abc import Mapping
from functools import partial

import click

from nodeplug.backend import BackendSpec, Command
from nodeplug.cli.options import FAILED, fail, output_option
from nodeplug.cli.tables import print_json, print_table
from nodeplug.loader import installed, load_each
from nodeplug.values.errors import NodeplugError


def groups() -> Mapping[str, click.Group]:
    """Return the commands of all backends that can be loaded, by group."""
    found: dict[str, click.Group] = {}
    for spec in load_each(installed()).values():
        if isinstance(spec, BackendSpec):
            for command in spec.commands:
                about = f"Commands of the backend {spec.name}."
                group = found.setdefault(command.group, click.Group(command.group, help=about))
                group.add_command(_mounted(command))
    return found


def _mounted(command: Command) -> click.Command:
    parameters = [click.Argument([name.lower()], metavar=name) for name in command.arguments]
    callback = output_option(partial(_run, command))
    mounted = click.Command(command.name, help=command.summary, params=[*parameters])
    mounted.params += callback.__click_params__
    mounted.callback = callback
    return mounted


def _run(command: Command, output: str, **arguments: str) -> None:
    values = [arguments[name.lower()] for name in command.arguments]
    try:
        facts = command.run(values)
    except (NodeplugError, OSError) as error:
        fail(str(error), FAILED)
    if output == "json":
        print_json(facts)
    else:
        print_table(("what", "value"), [[name, str(value)] for name, value in facts.items()])
