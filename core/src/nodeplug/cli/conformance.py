"""`nodeplug conformance`."""

import asyncio
import sys
from pathlib import Path

import click

from nodeplug.cli.options import FAILED, output_option
from nodeplug.cli.tables import print_json, printable
from nodeplug.conformance.judge import judge
from nodeplug.conformance.junit import junit
from nodeplug.conformance.verdicts import Verdict
from nodeplug.testing import Profile

_COLOURS = {"held": "green", "broken": "red", "not judged": "yellow"}


@click.command("conformance")
@click.option(
    "--command",
    "plugin",
    required=True,
    help="How to start the plugin; {dir} stands for the kubelet's directory. Without it, the "
    "plugin sees that directory at its usual path (needs root).",
)
@click.option(
    "--seconds", default=10.0, show_default=True, help="How long it may take to register."
)
@click.option("--junit", "report", type=click.Path(path_type=Path), help="Write a JUnit file.")
@output_option
def command(plugin: str, seconds: float, report: Path | None, output: str) -> None:
    """Judge any device plugin by the kubelet's rules. Exit 1 if it breaks one that it must keep."""
    verdicts = asyncio.run(_judge(plugin, seconds, quiet=output == "json"))
    if report is not None:
        report.write_bytes(junit(verdicts))
    failed = [verdict for verdict in verdicts if verdict.fails]
    if output == "json":
        print_json([_as_json(verdict) for verdict in verdicts])
    else:
        held = sum(verdict.outcome == "held" for verdict in verdicts)
        click.secho(
            f"{held} of {len(verdicts)} held, {len(failed)} broken that must hold", bold=True
        )
    sys.exit(FAILED if failed else 0)


async def _judge(plugin: str, seconds: float, *, quiet: bool) -> list[Verdict]:
    verdicts = []
    for profile in Profile:
        async for verdict in judge(plugin, profile, seconds):
            verdicts.append(verdict)
            if not quiet:
                _show(verdict)
    return verdicts


def _show(verdict: Verdict) -> None:
    rule = verdict.rule
    time = f"  {1000 * verdict.seconds:.0f} ms" if verdict.seconds is not None else ""
    outcome = click.style(f"{verdict.outcome:<10}", fg=_COLOURS[verdict.outcome])
    click.echo(f"{verdict.profile}  {rule.number:<4}{rule.level:<7}{outcome} {rule.claim}{time}")
    if verdict.detail:
        click.echo(f"         {printable(verdict.detail)}")
    if verdict.outcome == "broken":
        click.echo(f"         the kubelet: {rule.kubelet}")
        click.echo(f"         a user: {rule.user}")


def _as_json(verdict: Verdict) -> dict[str, object]:
    rule = verdict.rule
    return {
        "rule": rule.number,
        "level": rule.level,
        "claim": rule.claim,
        "kubelet": verdict.profile,
        "outcome": verdict.outcome,
        "detail": verdict.detail,
        "seconds": verdict.seconds,
        "consequence": {"kubelet": rule.kubelet, "user": rule.user},
    }
