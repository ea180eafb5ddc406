"""`nodeplug devices`."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import click

from nodeplug.backend import BackendSpec
from nodeplug.cli.options import (
    FAILED,
    USAGE,
    backends_option,
    config_option,
    fail,
    load_or_report,
    node_facts,
    output_option,
)
from nodeplug.cli.tables import print_json, print_table
from nodeplug.config.load import load_configuration
from nodeplug.host.host import Host, open_host
from nodeplug.values.device import Device
from nodeplug.values.errors import ConfigError

_COLUMNS = ("backend", "resource", "id", "health", "numa", "nodes", "attributes", "reason")
# A backend whose driver hangs must not hang the command.
_DISCOVERY_SECONDS = 30.0


@click.command("devices")
@backends_option
@config_option
@output_option
def command(names: tuple[str, ...], files: tuple[Path, ...], output: str) -> None:
    """Discover once and show the devices. Exit 1 if a backend's discovery fails."""
    specs = load_or_report(names)
    try:
        configuration = load_configuration(files, specs, node_facts())
    except ConfigError as error:
        fail(str(error), USAGE)
    if configuration.errors:
        fail(str(configuration.errors[0]), USAGE)
    host = open_host(configuration.agent.host.root, configuration.agent.host.uevents)
    devices = asyncio.run(_discover(specs, configuration.sections, host))
    if output == "json":
        print_json([_as_json(backend, device) for backend, device in devices])
    else:
        print_table(_COLUMNS, [_as_row(backend, device) for backend, device in devices])


async def _discover(
    specs: Mapping[str, BackendSpec], sections: Mapping[str, Any], host: Host
) -> list[tuple[str, Device]]:
    found: list[tuple[str, Device]] = []
    for name, spec in specs.items():
        try:
            async with asyncio.timeout(_DISCOVERY_SECONDS):
                found += [(name, d) for d in await _first(spec, sections[name], host)]
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            fail(f"backend {name}: discovery failed: {error!r}", FAILED)
    return found


async def _first(spec: BackendSpec, settings: Any, host: Host) -> list[Device]:
    backend = spec.build(settings, host, None)
    async with aclosing(backend.inventories()) as inventories:
        inventory = await anext(inventories)
    return list(inventory.devices.values())


def _as_row(backend: str, device: Device) -> list[str]:
    numa = ",".join(map(str, device.numa_nodes)) or "-"
    nodes = " ".join(node.host_path for node in device.edits.nodes) or "-"
    reason = device.reason or "-"
    attributes = " ".join(f"{name}={value}" for name, value in device.attributes.items()) or "-"
    shown = [backend, device.resource, device.id, device.health.value]
    return [*shown, numa, nodes, attributes, reason]


def _as_json(backend: str, device: Device) -> dict[str, object]:
    return {
        "backend": backend,
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
