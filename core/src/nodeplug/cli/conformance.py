"""`nodeplug conformance`."""

import asyncio
import signal
import sys
from pathlib import Path

import click

from nodeplug.cli.interrupts import end_at_interrupt
from nodeplug.cli.options import FAILED, USAGE, fail, output_option
from nodeplug.cli.tables import print_json, printable
from nodeplug.conformance.judge import judge
from nodeplug.conformance.junit import junit
from nodeplug.conformance.subject import Subject
from nodeplug.conformance.verdicts import Verdict
from nodeplug.testing import Profile

_COLOURS = {"held": "green", "broken": "red", "not judged": "yellow"}


@click.command("conformance")
@click.option(
    "--command",
    "plugin",
    default="",
    help="How to start the plugin; {dir} stands for the kubelet's directory, {registry} for the "
    "one in which it finds plugins. Without either, the plugin sees them at their usual paths "
    "(needs root).",
)
@click.option(
    "--socket",
    type=click.Path(exists=True, path_type=Path),
    help="The socket of a plugin that runs; rules about its process are not judged.",
)
@click.option("--change", default="", help="A command after which the plugin loses a device.")
@click.option("--undo", default="", help="A command after which it has the device again.")
@click.option(
    "--seconds", default=10.0, show_default=True, help="How long it may take to register."
)
@click.option("--junit", "report", type=click.Path(path_type=Path), help="Write a JUnit file.")
@output_option
def command(  # noqa: PLR0913 - all are options
    *,
    plugin: str,
    socket: Path | None,
    change: str,
    undo: str,
    seconds: float,
    report: Path | None,
    output: str,
) -> None:
    """Judge any device plugin by the kubelet's rules. Exit 1 if it breaks one that it must keep."""
    if bool(plugin) == bool(socket):
        fail("give --command to start a plugin, or --socket for one that runs", USAGE)
    end_at_interrupt()
    subject = Subject(plugin, socket and socket.absolute(), seconds, change, undo)
    try:
        verdicts = asyncio.run(_judge(subject, quiet=output == "json"))
    except (OSError, ValueError) as error:
        fail(f"{printable(plugin) or socket}: {error}", USAGE)
    except asyncio.CancelledError:
        sys.exit(128 + signal.SIGTERM)
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


async def _judge(subject: Subject, *, quiet: bool) -> list[Verdict]:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    verdicts = []
    for profile in (Profile.OLDEST, Profile.NEWEST):
        async for verdict in judge(subject, profile):
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
