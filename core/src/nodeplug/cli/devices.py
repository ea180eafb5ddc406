"""`nodeplug devices`."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import click

from nodeplug.backend import BackendSpec, Verdict
from nodeplug.cli.options import (
    FAILED,
    backends_option,
    config_option,
    fail,
    load_or_leave,
    load_or_report,
    output_option,
)
from nodeplug.cli.tables import print_json, print_table
from nodeplug.config.load import Configuration, Source
from nodeplug.host.host import Host, open_host
from nodeplug.values.device import Device

_COLUMNS = ("backend", "resource", "id", "health", "numaNodes", "nodes", "attributes", "reason")
_EXPLAINED = ("backend", "device", "resource", "served", "reason")
_HEADINGS = {"numaNodes": "numa"}
_Row = dict[str, object]
_Question = Callable[[BackendSpec, Any, Host], Awaitable[list[_Row]]]
# A backend whose driver hangs must not hang the command.
_DISCOVERY_SECONDS = 30.0


@click.command("devices")
@backends_option
@config_option
@click.option("--explain", is_flag=True, help="Show what is not served too, and why.")
@output_option
def command(names: tuple[str, ...], sources: list[Source], explain: bool, output: str) -> None:  # noqa: FBT001
    """Discover once and show the devices. Exit 1 if a backend's discovery fails."""
    specs = load_or_report(names)
    configuration = load_or_leave(sources, specs)
    host = open_host(configuration.agent.host.root, configuration.agent.host.uevents)
    if explain:
        _print(asyncio.run(_ask(specs, configuration, host, _verdicts)), _EXPLAINED, output)
    else:
        _print(asyncio.run(_ask(specs, configuration, host, _first)), _COLUMNS, output)


async def _ask(
    specs: Mapping[str, BackendSpec], configuration: Configuration, host: Host, question: _Question
) -> list[_Row]:
    found: list[_Row] = []
    for name, spec in specs.items():
        try:
            async with asyncio.timeout(_DISCOVERY_SECONDS):
                answers = await question(spec, configuration.sections[name], host)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            fail(f"backend {name}: discovery failed: {error!r}", FAILED)
        found += [{"backend": name, **answer} for answer in answers]
    return found


async def _first(spec: BackendSpec, settings: Any, host: Host) -> list[_Row]:
    backend = spec.build(settings, host, None)
    async with aclosing(backend.inventories()) as inventories:
        inventory = await anext(inventories)
    return [_described(device) for device in inventory.devices.values()]


async def _verdicts(spec: BackendSpec, settings: Any, host: Host) -> list[_Row]:
    if spec.explain is not None:
        return [_explained(verdict) for verdict in await spec.explain(settings, host)]
    reason = "the backend explains nothing else"
    return [
        _explained(Verdict(str(row["id"]), str(row["resource"]), chosen=True, reason=reason))
        for row in await _first(spec, settings, host)
    ]


def _explained(verdict: Verdict) -> _Row:
    return {
        "device": verdict.device,
        "resource": verdict.resource,
        "served": verdict.chosen,
        "reason": verdict.reason,
    }


def _print(rows: list[_Row], columns: Sequence[str], output: str) -> None:
    if output == "json":
        print_json(rows)
    else:
        header = [_HEADINGS.get(name, name) for name in columns]
        print_table(header, [[_cell(row[name]) for name in columns] for row in rows])


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        value = [f"{name}={fact}" for name, fact in value.items()]
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    return str(value) or "-"


def _described(device: Device) -> _Row:
    return {
        "resource": device.resource,
        "id": device.id,
        "health": device.health.value,
        "reason": device.reason,
        "parent": device.parent,
        "numaNodes": list(device.numa_nodes),
        "attributes": dict(device.attributes),
        "capacity": dict(device.capacity),
        "nodes": [node.host_path for node in device.edits.nodes],
    }
