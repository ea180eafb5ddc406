"""`nodeplug show-container`."""

import os
import sys
from pathlib import Path

import click
import msgspec

from nodeplug.cli.options import FAILED, output_option
from nodeplug.cli.tables import print_json, print_table
from nodeplug.operations.container import contents, missing


@click.command("show-container")
@click.option("--path", "paths", multiple=True, help="A path that must be there.")
@click.option("--env", "names", multiple=True, help="A variable that must be set.")
@output_option
def command(paths: tuple[str, ...], names: tuple[str, ...], output: str) -> None:
    """Show what the container that this runs in has got, and open the devices and mounts of it.

    Device nodes and mounts that every container has are left out. Exit 1 if something that must
    be there is missing, or a device or mount cannot be opened.
    """
    root, environment = Path("/"), os.environ
    items = [*contents(root, environment), *missing(root, environment, paths, names)]
    if output == "json":
        print_json(msgspec.to_builtins(items))
    else:
        print_table(("what", "name", ""), [(each.kind, each.name, each.detail) for each in items])
    sys.exit(0 if all(each.good for each in items) else FAILED)
