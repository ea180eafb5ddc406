"""`nodeplug simulate`."""

import asyncio
import sys
import time

import click

from nodeplug.backend import BackendSpec
from nodeplug.cli.interrupts import end_at_interrupt
from nodeplug.cli.options import FAILED, USAGE, fail, output_option
from nodeplug.cli.progress import Progress
from nodeplug.cli.tables import print_json
from nodeplug.loader import installed, load_each
from nodeplug.simulate.checks import CHECKS
from nodeplug.simulate.walk import walk
from nodeplug.values.errors import LoadError


@click.command("simulate")
@click.option("--backend", "names", multiple=True, metavar="NAME", help="Only these backends.")
@output_option
def command(names: tuple[str, ...], output: str) -> None:
    """Walk the main job on simulated hardware: kubelet, agent, pods. Exit 1 if a check broke."""
    started = time.monotonic()
    end_at_interrupt()
    results = load_each(names or installed())
    for result in results.values():
        if isinstance(result, LoadError):
            fail(str(result), FAILED)
    specs = {name: spec for name, spec in results.items() if isinstance(spec, BackendSpec)}
    if not specs:
        fail("no backend is installed", USAGE)
    if output == "table":
        click.echo(f"backends: {', '.join(specs)}; simulated hardware, real sockets and processes")
    checks = asyncio.run(walk(specs, Progress(len(CHECKS), quiet=output == "json")))
    held = sum(check.held for check in checks)
    if output == "json":
        facts = {"held": held, "of": len(checks), "backends": list(specs)}
        print_json(facts | {"checks": [check.as_json() for check in checks]})
    else:
        seconds = time.monotonic() - started
        click.secho(f"{held} of {len(checks)} checks held in {seconds:.1f} s", bold=True)
    sys.exit(0 if held == len(checks) else FAILED)
