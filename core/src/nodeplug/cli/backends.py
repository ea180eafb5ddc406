"""`nodeplug backends`."""

import click

from nodeplug.backend import BackendSpec
from nodeplug.cli.options import output_option
from nodeplug.cli.tables import print_json, print_table
from nodeplug.host.root import HostRoot
from nodeplug.loader import installed, load_each
from nodeplug.values.errors import LoadError


@click.command("backends")
@output_option
def command(output: str) -> None:
    """Show which backends are installed and whether their hardware or library is here."""
    points = installed()
    found = [_describe(name, result) for name, result in load_each(points).items()]
    for entry in found:
        entry["version"] = ", ".join(point.version for point in points[entry["name"]])
    if output == "json":
        print_json(found)
    else:
        columns = ("name", "version", "present", "detail")
        print_table(columns, [[entry[column] for column in columns] for entry in found])


def _describe(name: str, result: BackendSpec | LoadError) -> dict[str, str]:
    if isinstance(result, LoadError):
        return {"name": name, "present": "broken", "summary": "", "detail": str(result)}
    presence = result.probe(HostRoot())
    return {
        "name": name,
        "present": "yes" if presence.present else "no",
        "summary": result.summary,
        "detail": presence.detail,
    }
