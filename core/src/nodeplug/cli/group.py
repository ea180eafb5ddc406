"""All commands."""

import importlib
from collections.abc import Mapping

import click

from nodeplug._version import __version__
from nodeplug.cli.lean import slim

_COMMANDS = {
    "allocations": "Show which pod has which device; end a hold by hand.",
    "backends": "Show which backends are installed and whether their hardware is here.",
    "clean-up": "Remove what nodeplug left on a host.",
    "config": "Check configuration files, print their schema.",
    "conformance": "Judge any device plugin by the kubelet's rules.",
    "devices": "Discover once and show the devices.",
    "doctor": "Say what is wrong with this node, and what to do.",
    "run": "Run the agent.",
    "shortage": "Say which resources are short on which nodes of a cluster, and why.",
    "show-container": "Show what this container has got, and whether it can be opened.",
    "simulate": "Walk the main job on simulated hardware, on any machine.",
    "topology": "Show where the devices are, and which are close to each other.",
    "version": "Show the versions of all parts, and of the APIs that are spoken.",
}


class _LazyGroup(click.Group):
    """A group that imports a command's module only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return [*_COMMANDS, *_of_backends()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return _of_backends().get(cmd_name)
        if cmd_name == "run":
            slim()
        module = f"nodeplug.cli.{cmd_name.replace('-', '_')}"
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            backends = {name: group.help or "" for name, group in _of_backends().items()}
            formatter.write_dl(list((_COMMANDS | backends).items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="nodeplug")
def main() -> None:
    """Nodeplug: Kubernetes device plugins for every vendor, from one core."""


def _of_backends() -> Mapping[str, click.Group]:
    mounted: Mapping[str, click.Group] = importlib.import_module("nodeplug.cli.mounted").groups()
    return mounted
