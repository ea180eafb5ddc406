"""What a backend finds, and how it tells of changes."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from nodeplug.backend import Backend, Simulator
from nodeplug.testing.contract.staged import (
    PATIENCE_SECONDS,
    Staged,
    first_inventory,
    healthy_devices,
    host_in,
    run,
)
from nodeplug.values.inventory import Inventory

# Allocate runs on the loop that serves all devices (R43).
_LONGEST_BLOCK_SECONDS = 0.25


class DiscoveryPromises(Staged):
    """Inventories are stable, fresh, and cost nobody else anything."""

    def test_an_empty_host_is_no_error(self, tmp_path: Path) -> None:
        """No driver and no hardware at start: no devices, and no crash."""
        settings = msgspec.convert({}, self.spec.settings)
        inventory = run(first_inventory(self.spec.build(settings, host_in(tmp_path), None)))
        assert not [device for device in inventory.devices.values() if device.healthy]

    def test_the_simulator_offers_four_healthy_devices(self, tmp_path: Path) -> None:
        """Enough for every walk through the main job."""
        inventory = run(first_inventory(self.backend(tmp_path)[0]))
        resource = self.spec.simulator(tmp_path).resource
        assert len(healthy_devices(inventory, resource)) >= 4  # noqa: PLR2004 - what Simulator promises

    def test_discovering_twice_gives_equal_inventories(self, tmp_path: Path) -> None:
        """Ids, order and edits are stable over a restart (R45)."""
        first = run(first_inventory(self.backend(tmp_path)[0]))
        second = run(first_inventory(self.backend(tmp_path)[0]))
        assert first == second

    def test_a_replaced_backend_hands_its_knowledge_on(self, tmp_path: Path) -> None:
        """A reload shows the same devices with the same health."""
        backend, settings = self.backend(tmp_path)
        first = run(first_inventory(backend))
        second = run(first_inventory(self.spec.build(settings, host_in(tmp_path), backend)))
        assert first == second

    def test_a_lost_device_is_told_and_so_is_its_recovery(self, tmp_path: Path) -> None:
        """Health can go and come; no other device is touched by it."""
        simulator = self.spec.simulator(tmp_path)
        backend, _ = self.backend(tmp_path, simulator)
        before, lost_id, during, after = run(_lose_and_recover(backend, simulator))
        assert not _is_healthy(during, lost_id)
        others = {i: d for i, d in before.devices.items() if i != lost_id}
        assert {i: d for i, d in during.devices.items() if i != lost_id} == others
        assert after == before

    def test_stopping_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """No task outlives the backend."""

        async def scenario() -> set[asyncio.Task[Any]]:
            backend, _ = self.backend(tmp_path)
            before = asyncio.all_tasks()
            async with aclosing(backend.inventories()) as inventories:
                await anext(inventories)
            return asyncio.all_tasks() - before

        assert not run(scenario())

    def test_a_waiting_backend_can_be_cancelled(self, tmp_path: Path) -> None:
        """Shutdown is quick, whatever the backend waits for."""

        async def scenario() -> float:
            backend, _ = self.backend(tmp_path)
            async with aclosing(backend.inventories()) as inventories:
                await anext(inventories)
                waiting = asyncio.ensure_future(anext(inventories))
                await asyncio.sleep(0)
                waiting.cancel()
                started = time.monotonic()
                await asyncio.wait({waiting}, timeout=PATIENCE_SECONDS)
                return time.monotonic() - started

        assert run(scenario()) < 1.0

    def test_discovery_does_not_block_the_loop(self, tmp_path: Path) -> None:
        """Other backends allocate meanwhile."""

        async def scenario() -> float:
            backend, _ = self.backend(tmp_path)
            async with _longest_block() as longest:
                await first_inventory(backend)
            return longest()

        # A machine that stands still now and then does not do so every time.
        assert min(run(scenario()) for _ in range(3)) < _LONGEST_BLOCK_SECONDS


def _is_healthy(inventory: Inventory, device_id: str) -> bool:
    return device_id in inventory.devices and inventory.devices[device_id].healthy


async def _lose_and_recover(
    backend: Backend, simulator: Simulator
) -> tuple[Inventory, str, Inventory, Inventory]:
    async with aclosing(backend.inventories()) as inventories:
        before = await anext(inventories)
        lost_id = simulator.lose()
        during = await _until(inventories, lambda item: not _is_healthy(item, lost_id))
        simulator.recover()
        after = await _until(inventories, lambda item: _is_healthy(item, lost_id))
    return before, lost_id, during, after


async def _until(
    inventories: AsyncGenerator[Inventory, None], wanted: Callable[[Inventory], bool]
) -> Inventory:
    while not wanted(inventory := await anext(inventories)):
        pass
    return inventory


@asynccontextmanager
async def _longest_block() -> AsyncGenerator[Callable[[], float], None]:
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            started = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - started)

    ticking: Coroutine[Any, Any, None] = tick()
    task = asyncio.create_task(ticking)
    try:
        yield lambda: longest
    finally:
        task.cancel()
