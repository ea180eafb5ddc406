"""`nodeplug doctor`."""

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from itertools import groupby

import click
import msgspec

from nodeplug.backend import BackendSpec, Finding
from nodeplug.cli.kept import kept_whole
from nodeplug.cli.options import (
    FAILED,
    backends_option,
    config_option,
    installation_of,
    node_facts,
    output_option,
)
from nodeplug.cli.tables import print_json, printable
from nodeplug.config.load import Configuration, NodeFacts, Source, load_configuration
from nodeplug.config.settings import AgentSettings
from nodeplug.loader import load_each
from nodeplug.operations.doctor.examination import SECONDS, examine
from nodeplug.operations.doctor.patient import Patient
from nodeplug.operations.doctor.versions import versions
from nodeplug.values.errors import BrokenSectionError, ConfigError, LoadError

_COLOURS = {"problem": "red", "warning": "yellow"}


@click.command("doctor")
@backends_option
@config_option
@click.option(
    "--limit",
    type=click.FloatRange(min=0.1),
    default=SECONDS,
    show_default=True,
    help="Seconds that each check may take.",
)
@output_option
def command(names: tuple[str, ...], sources: list[Source], limit: float, output: str) -> None:
    """Say what is wrong with this node, and what to do. Exit 1 if there is a problem.

    Run it where the agent runs, with the agent's backends and configuration: in its container, for
    what the container lacks is found as well.
    """
    logging.disable()  # what backends would log comes as findings
    patient = _patient(names, sources)
    findings = asyncio.run(examine(patient, limit))
    installed = versions(dict.fromkeys(names))
    if output == "json":
        print_json({"versions": installed, "findings": msgspec.to_builtins(findings)})
    else:
        _print(findings, installed)
    sys.exit(FAILED if any(each.severity == "problem" for each in findings) else 0)


def _patient(names: tuple[str, ...], sources: list[Source]) -> Patient:
    results = load_each(dict.fromkeys(names))
    specs = {name: spec for name, spec in results.items() if isinstance(spec, BackendSpec)}
    facts = node_facts()
    configuration = _configuration(sources, specs, facts)
    return Patient(
        specs=specs,
        broken=[each for each in results.values() if isinstance(each, LoadError)],
        configuration=configuration,
        node_name=facts.name,
    )


def _configuration(
    sources: list[Source], specs: Mapping[str, BackendSpec], facts: NodeFacts
) -> Configuration:
    try:
        return load_configuration(sources, specs, facts)
    except ConfigError as error:
        kept = kept_whole(error, sources, specs, installation_of(sources))
        sections = dict.fromkeys(specs or ("",), BrokenSectionError([error]))
        return kept or Configuration(AgentSettings(), sections)


def _print(findings: Sequence[Finding], installed: Mapping[str, str]) -> None:
    click.echo(", ".join(f"{name} {version}" for name, version in installed.items()))
    for severity, group in groupby(findings, lambda each: each.severity):
        listed = list(group)
        heading = f"{len(listed)} {severity}{'s' if len(listed) > 1 else ''}"
        click.secho(f"\n{heading.upper()}", fg=_COLOURS[severity], bold=True)
        for each in listed:
            click.secho(f"  {printable(each.subject)}", bold=True)
            for name in ("finding", "rule", "remedy"):
                if text := getattr(each, name):
                    click.echo(f"    {name:<8} {printable(text)}")
    if not findings:
        click.echo("nothing wrong was found")
