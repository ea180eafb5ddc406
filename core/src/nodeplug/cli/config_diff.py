"""`nodeplug config diff`."""

import asyncio
import logging
import sys
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from pathlib import Path

import click
import msgspec
from msgspec.structs import replace

from nodeplug.cli.discovered import ask_each, shown
from nodeplug.cli.named import backends_of
from nodeplug.cli.options import (
    USAGE,
    fail,
    known_ids,
    load_or_leave,
    load_or_report,
    output_option,
    report,
    source_of,
)
from nodeplug.cli.tables import print_json, print_table, printable
from nodeplug.config.load import Configuration, Source
from nodeplug.operations.allocations import Sources, look
from nodeplug.operations.difference import Difference, Offered, differences
from nodeplug.operations.discovery import discover
from nodeplug.values.errors import ConfigError, PodResourcesError
from nodeplug.values.inventory import Inventory

_DIFFERENT = 1
_SHOWN = 8


@click.command("diff")
@click.argument("old")
@click.argument("new")
@output_option
def command(old: str, new: str, output: str) -> None:
    """Show what this node would offer otherwise by the file NEW than by OLD.

    Names that come and go, devices of a name that do, and which pods have what would go, if a
    kubelet tells. Of a backend that one of the files says nothing usable of, nothing is said; where
    it is wrong in part, nothing of what only the other file gives. With NAME=FILE, the file of the
    plugin that a backend replaces is meant. NODE_NAME and NODE_LABELS_FILE tell which overrides
    hold. Exit 0 if all stays as it is, 1 if not, 2 if that cannot be said of a part of the
    configuration.
    """
    logging.disable()  # backends would say what is wrong with the node
    sources = [source_of(each) for each in (old, new)]
    try:
        names = dict.fromkeys(name for source in sources for name in backends_of(source))
    except ConfigError as error:
        fail(str(error), USAGE)
    specs = load_or_report(tuple(names)) if names else {}
    configurations = [load_or_leave([source], specs) for source in sources]
    known = known_ids(sources[:1], configurations[0])
    ask = partial(discover, known=known)
    answers = [asyncio.run(ask_each(ask, specs, each)) for each in configurations]
    (old_found, first), (new_found, second) = answers
    both = old_found.keys() & new_found.keys()  # nobody knows what becomes of the others
    before, after = (
        _offers(configuration, {name: found[name] for name in found if name in both})
        for configuration, (found, _) in zip(configurations, answers, strict=True)
    )
    partly = [_partly(source, each) for source, each in zip(sources, configurations, strict=True)]
    before, after = _known(before, after, partly[1]), _known(after, before, partly[0])
    found = list(differences(before, after, asyncio.run(_pods(configurations[0]))))
    if output == "json":
        print_json(msgspec.to_builtins(found))
    elif found:
        print_table(("resource", "change", "devices", "what", "pods"), [*map(_row, found)])
    untold = first or second or names.keys() - specs.keys()
    untold = untold or any(each.undecided for each in configurations)
    sys.exit(USAGE if untold else _DIFFERENT if found else 0)


def _offers(configuration: Configuration, found: Mapping[str, Inventory]) -> dict[str, Offered]:
    return {
        public: Offered(name, offer)
        for name, (_, offers) in shown(configuration.agent, found)
        for public, offer in offers.items()
    }


def _partly(source: Source, configuration: Configuration) -> list[str]:
    """Return the backends of whose sections only a part is right; say what that means."""
    usable = configuration.usable
    partly = [n for n, own in configuration.sections.items() if own is not usable.get(n, own)]
    for name in partly:
        why = "is wrong in part, so that what only the other file gives is not compared"
        report(printable(f"{source.path}: backend {name}: {why}"))
    return partly


def _known(
    offers: Mapping[str, Offered], others: Mapping[str, Offered], partly: Collection[str]
) -> dict[str, Offered]:
    """Return what is offered, of some backends only what the other file gives, too."""
    found: dict[str, Offered] = {}
    for name, (backend, offer) in offers.items():
        if backend not in partly:
            found[name] = Offered(backend, offer)
        elif name in others:
            ids = {each.id for each in others[name].offer.devices}
            kept = tuple(each for each in offer.devices if each.id in ids)
            found[name] = Offered(backend, replace(offer, devices=kept))
    return found


async def _pods(configuration: Configuration) -> dict[tuple[str, str], list[str]]:
    kubelet = configuration.agent.kubelet
    sources = Sources(Path(kubelet.pod_resources_socket), Path(kubelet.device_plugin_dir))
    try:
        rows = await look(sources)
    except PodResourcesError as error:
        report(printable(f"which pods have devices is not known: {error}"))
        return {}
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        if row.pod:
            found.setdefault((row.resource, row.id), []).append(f"{row.namespace}/{row.pod}")
    return found


def _row(found: Difference) -> list[str]:
    pods = dict.fromkeys(pod for each in found.held.values() for pod in each)
    return [
        found.resource,
        found.change,
        f"{found.before} -> {found.after}",
        ", ".join(_what(found)) or "-",
        " ".join(pods) or "-",
    ]


def _what(found: Difference) -> Iterator[str]:
    for key, (before, after) in found.settings.items():
        yield f"{key} {before} -> {after}"
    for word in ("added", "removed", "sick", "well", "altered"):
        if ids := getattr(found, word):
            more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
            yield f"{word}: {' '.join(ids[:_SHOWN])}{more}"
