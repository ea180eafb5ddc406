"""`nodeplug allocations forget`."""

import asyncio
import os
import sys
from pathlib import Path

import click
import msgspec

from nodeplug.cli.options import FAILED, USAGE, config_option, fail, load_or_leave, output_option
from nodeplug.cli.tables import print_json, print_table, printable
from nodeplug.config.load import Source
from nodeplug.config.settings import AgentSettings
from nodeplug.host.forgetting import LIFE_SECONDS, Request
from nodeplug.operations.forgetting import ForgetRefusedError, Outcome, Place, forget
from nodeplug.values.errors import InvalidValueError
from nodeplug.values.names import check_resource_name

_COLUMNS = ("agent", "ended", "note")
_TEXT_LIMIT = 1024


@click.command("forget")
@click.argument("resource")
@click.argument("device", metavar="ID")
@click.option("--reason", required=True, help="Why you know that it is free; the agents log it.")
@click.option(
    "--unverified",
    is_flag=True,
    help="Also while the kubelet cannot be asked or its checkpoint cannot be read. What it does "
    "show for a container is never forgotten.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=0, max=LIFE_SECONDS),
    default=10.0,
    show_default=True,
    help="For so many seconds wait until agents have done it.",
)
@config_option
@output_option
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917 - click's way
    given: list[Source],
    resource: str,
    device: str,
    reason: str,
    unverified: bool,  # noqa: FBT001
    wait: float,
    sources: list[Source],
    output: str,
) -> None:
    """End a hold that keeps devices back and cannot be proved free any more.

    RESOURCE and ID are those of the hold, as the reason of what it keeps back names them. Exit 1
    if that is refused, or has not been done in time.
    """
    request = _request(resource, device, reason)
    place = _place(load_or_leave(sources or given, {}).agent)
    try:
        outcome = asyncio.run(forget(place, request, seconds=wait, unverified=unverified))
    except ForgetRefusedError as error:
        fail(printable(str(error)), FAILED)
    except OSError as error:
        fail(f"{place.ledger}: {error.strerror}: no agent can be asked", FAILED)
    (_print_json if output == "json" else _print_table)(request, outcome)
    sys.exit(0 if outcome.ended else FAILED)


def _request(resource: str, device: str, reason: str) -> Request:
    try:
        check_resource_name(resource)
    except InvalidValueError as error:
        fail(printable(str(error)), USAGE)
    who = os.environ.get("SUDO_USER") or os.environ.get("USER") or f"uid {os.getuid()}"
    return Request.of(resource, device[:_TEXT_LIMIT], reason[:_TEXT_LIMIT], who)


def _place(settings: AgentSettings) -> Place:
    if not settings.host.ledger_dir:
        fail("host.ledgerDir is empty: agents can be asked through it only", FAILED)
    kubelet = settings.kubelet
    directories = Path(kubelet.pod_resources_socket), Path(kubelet.device_plugin_dir)
    return Place(*directories, Path(settings.host.ledger_dir))


def _print_json(request: Request, outcome: Outcome) -> None:
    kept = [{"resource": r, "id": i, "reason": why} for (r, i), why in outcome.kept_back.items()]
    taken = [{"agent": a.agent, "ended": a.ended, "why": a.why} for a in outcome.taken]
    facts = msgspec.to_builtins(request)
    shown = {key: facts[key] for key in ("resource", "device", "reason", "who", "at")}
    print_json(shown | {"ended": outcome.ended, "agents": taken, "keptBack": kept})


def _print_table(_: Request, outcome: Outcome) -> None:
    if outcome.taken:
        rows = [(a.agent, "yes" if a.ended else "no", a.why or "-") for a in outcome.taken]
        print_table(_COLUMNS, rows)
    else:
        click.echo(f"no agent has taken it up yet; the request is good for {LIFE_SECONDS:g} s")
    for (resource, device), why in outcome.kept_back.items():
        click.echo(printable(f"still kept back: {device} of {resource}: {why}"))
