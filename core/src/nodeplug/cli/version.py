"""`nodeplug version`."""

import platform
from importlib.metadata import version

import click

from nodeplug._version import __version__
from nodeplug.cdi.spec import VERSION as CDI
from nodeplug.cli.options import output_option
from nodeplug.cli.tables import print_json, print_table
from nodeplug.kubelet.registration import VERSION as DEVICE_PLUGIN
from nodeplug.loader import installed

_APIS = {
    "device plugin": [DEVICE_PLUGIN],
    "plugin registration": ["v1"],
    "pod resources": ["v1"],
    "CDI": [CDI],
}


@click.command("version")
@output_option
def command(output: str) -> None:
    """Show the versions of core, backends, Python and gRPC, and of the APIs that are spoken."""
    backends = {
        name: ", ".join(point.version for point in points) for name, points in installed().items()
    }
    if output == "json":
        runtime = {"python": platform.python_version(), "grpc": version("grpcio")}
        print_json({"nodeplug": __version__, "backends": backends, **runtime, "apis": _APIS})
        return
    rows = [("nodeplug", __version__)]
    rows += [(f"backend {name}", found) for name, found in sorted(backends.items())]
    rows += [("Python", platform.python_version()), ("gRPC", version("grpcio"))]
    rows += [(f"API {name}", ", ".join(found)) for name, found in _APIS.items()]
    print_table(("what", "version"), rows)
