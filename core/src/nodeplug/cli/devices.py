"""`nodeplug devices`."""

import asyncio
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from nodeplug.backend import BackendSpec, Verdict
from nodeplug.cli.discovered import ask_each, shown
from nodeplug.cli.options import (
    backends_option,
    config_option,
    known_ids,
    load_or_leave,
    load_or_report,
    output_option,
    report,
)
from nodeplug.cli.tables import print_json, print_table, printable
from nodeplug.config.load import Configuration, Source
from nodeplug.host.host import open_host
from nodeplug.host.identities import Identities
from nodeplug.offers import Offer
from nodeplug.operations.allocations import held_devices
from nodeplug.operations.discovery import SECONDS, discover
from nodeplug.operations.rules import idle
from nodeplug.quarantine import quarantined
from nodeplug.values.device import Device
from nodeplug.values.inventory import Inventory

_COLUMNS = (
    *("backend", "resource", "offeredAs", "replicas", "policy", "inject"),
    *("id", "health", "numaNodes", "nodes", "attributes", "reason"),
)
_EXPLAINED = ("backend", "device", "resource", "served", "reason")
_HEADINGS = {"numaNodes": "numa", "offeredAs": "offered as"}
_Row = dict[str, object]
_NOT_OFFERED: _Row = {"offeredAs": "", "replicas": 0, "policy": "", "inject": ""}


@click.command("devices")
@backends_option
@config_option
@click.option("--explain", is_flag=True, help="Show what is not served too, and why.")
@output_option
def command(names: tuple[str, ...], sources: list[Source], explain: bool, output: str) -> None:  # noqa: FBT001
    """Discover once and show the devices, under which name and how each would be offered.

    With --explain, agents that run are asked which of them are held. Rules of offers and
    quarantine that no device matches, or that cannot hold, are named beside them. Exit 1 if a
    backend's discovery fails, 2 if a part of the configuration is wrong; what is right is shown all
    the same.
    """
    specs = load_or_report(names)
    configuration = load_or_leave(sources, specs)
    known = known_ids(sources, configuration)
    ask = _explained_rows if explain else _device_rows
    answers, code = ask(known, specs, configuration)
    rows = [{"backend": name, **row} for name, answer in answers.items() for row in answer]
    _print(rows, _EXPLAINED if explain else _COLUMNS, output)
    sys.exit(code)


def _device_rows(
    known: Identities, specs: Mapping[str, BackendSpec], configuration: Configuration
) -> tuple[dict[str, list[_Row]], int]:
    found, code = asyncio.run(ask_each(partial(discover, known=known), specs, configuration))
    for each in idle(configuration.agent, found, all_known=found.keys() == specs.keys()):
        report(printable(f"{each.place}: {each.why}"))
    rows = {}
    for name, (inventory, offers) in shown(configuration.agent, found):
        ways = _ways(offers)
        devices = inventory.devices.values()
        rows[name] = [{**_described(each), **ways.get(each.id, _NOT_OFFERED)} for each in devices]
    return rows, code


def _ways(offers: Mapping[str, Offer]) -> Mapping[str, _Row]:
    """Return how each device is offered, by its id."""
    return {
        device_id: {
            "offeredAs": offer.resource,
            "replicas": count,
            "policy": offer.policy or "",
            "inject": offer.inject,
        }
        for offer in offers.values()
        for device_id, count in Counter(each.device.id for each in offer.devices).items()
    }


def _explained_rows(
    known: Identities, specs: Mapping[str, BackendSpec], configuration: Configuration
) -> tuple[dict[str, list[_Row]], int]:
    answers, code = asyncio.run(ask_each(partial(_verdicts, known), specs, configuration))
    plugin_dir = Path(configuration.agent.kubelet.device_plugin_dir)
    held = asyncio.run(held_devices(plugin_dir))
    out = asyncio.run(_quarantined(known, specs, configuration))
    return {name: _with_holds(rows, held, out) for name, rows in answers.items()}, code


async def _quarantined(
    known: Identities, specs: Mapping[str, BackendSpec], configuration: Configuration
) -> dict[str, str]:
    """Return why devices are out of service, by id; what fails is told by the explanation."""
    if not (rules := configuration.agent.quarantine):
        return {}
    asked = [
        discover(specs[name], settings, configuration.agent.host.root, known=known)
        for name, settings in configuration.usable.items()
    ]
    found = await asyncio.gather(*asked, return_exceptions=True)
    inventories = [each for each in found if isinstance(each, Inventory)]
    return {i: why for each in inventories for i, why in quarantined(each, rules).items()}


async def _verdicts(known: Identities, spec: BackendSpec, settings: Any, root: str) -> list[_Row]:
    if spec.explain is not None:
        host = open_host(root, identities=known)
        async with asyncio.timeout(SECONDS):
            return [_explained(v) for v in await spec.explain(settings, host)]
    reason = "the backend explains nothing else"
    return [
        _explained(Verdict(device.id, device.resource, chosen=True, reason=reason))
        for device in (await discover(spec, settings, root, known=known)).devices.values()
    ]


def _with_holds(rows: list[_Row], held: Mapping[str, str], out: Mapping[str, str]) -> list[_Row]:
    """Return the rows of what is explained, with what is kept back or out of service, and why."""
    for row in rows:
        if row["served"] and (why := out.get(str(row["device"]))):
            row["served"], row["reason"] = False, why
        why = held.get(str(row["device"]), "") if row["served"] else ""
        row["held"] = bool(why)
        row["reason"] = f"held: {why}" if why else row["reason"]
    return rows


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
