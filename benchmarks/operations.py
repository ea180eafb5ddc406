"""What operations cost: memory with everything switched on, scrapes of many devices."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping

from benchmarks.calls import allocate_repeatedly, find
from benchmarks.node import BOARD, CUSTOM, EXTRA, Node, custom_section, open_node
from benchmarks.report import Figure, percentile
from nodeplug.backend import BackendSpec
from nodeplug.loader import installed, load_each
from support.watched import exchange, free_port

_MANY = 10_000
_SCRAPES = 30
_SCRAPE = b"GET /metrics HTTP/1.1\r\n\r\n"


async def everything_on() -> AsyncIterator[Figure]:
    """Metrics for each device and pod, Events, condition, labels."""
    async with open_node(custom_section()) as node:
        port = _switch_on(node)
        await node.agent.start()
        await node.listed(CUSTOM, 4)
        await _scrape(port, 5)
        yield Figure("resident, one backend, all operations on", node.memory(), "MiB", 48)


async def all_backends() -> AsyncIterator[Figure]:
    """Every installed backend on its simulated hardware, in one process."""
    specs = [s for s in load_each(installed()).values() if isinstance(s, BackendSpec)]
    if len(specs) == 1:
        return
    for on, limit in ((False, 60), (True, 70)):
        sections: dict[str, Mapping[str, object]] = {spec.name: {} for spec in specs}
        async with open_node(sections) as node:
            simulators = [spec.simulator(node.agent.host_root) for spec in specs]
            sections |= {s.name: x.settings for s, x in zip(specs, simulators, strict=True)}
            port = _switch_on(node) if on else 0
            node.agent.offer([])
            await node.agent.start()
            for simulator in simulators:
                await _healthy(node, simulator.resource)
            if on:
                await _scrape(port, 5)
            name = (
                f"resident, {len(specs)} backends, {'all operations on' if on else 'metrics off'}"
            )
            yield Figure(name, node.memory(), "MiB", limit)


async def scrapes() -> AsyncIterator[Figure]:
    """Ten thousand devices, default series, and what Allocate has of it."""
    async with open_node({"awkward": {}} | custom_section()) as node:
        port = free_port()
        node.agent.settings = {"metrics": {"address": "127.0.0.1", "port": port}}
        node.agent.offer([])
        await node.agent.start()
        await node.listed(BOARD, 4)
        node.set(extra=_MANY)
        await node.listed(EXTRA, _MANY)
        await node.listed(CUSTOM, 4)
        device = min(node.kubelet.devices(CUSTOM))
        _, target = await asyncio.to_thread(find, node.sockets(), "awk-board-0", device)
        calls = asyncio.create_task(asyncio.to_thread(allocate_repeatedly, target, device))
        seconds = await _scrape(port, _SCRAPES)
        beside = await calls
    yield Figure("10,000 devices: scrape, median", 1000 * percentile(seconds, 50), "ms", 20)
    yield Figure("Allocate beside scrapes, p99", 1000 * percentile(beside, 99), "ms", 2)


def _switch_on(node: Node) -> int:
    port = free_port()
    node.agent.settings = {
        "metrics": {"address": "127.0.0.1", "port": port, "perDevice": True, "pods": True},
        "cluster": {"events": True, "condition": True, "removeTaint": "nodeplug.io/starting"},
        "labels": {"enabled": True},
    }
    node.agent.offer([])
    return port


async def _healthy(node: Node, resource: str) -> None:
    def holds() -> bool:
        capacity = node.kubelet.capacity(resource)
        return capacity is not None and capacity.allocatable > 0

    await node.kubelet.until(holds, 30.0)


async def _scrape(port: int, times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        started = time.monotonic()
        await exchange(port, _SCRAPE)
        seconds.append(time.monotonic() - started)
        await asyncio.sleep(0.05)
    return seconds
