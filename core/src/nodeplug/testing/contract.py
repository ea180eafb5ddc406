"""The promises every backend keeps, as tests to inherit.

In a test module of the backend:

    class TestMyBackend(BackendContract):
        spec = my_package.plugin.SPEC

pytest then runs one test per promise, on the backend's own simulator. Nothing here needs
hardware, privileges or a pytest plugin.
"""

import asyncio
import dataclasses
import itertools
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import msgspec

from nodeplug.backend import (
    Backend,
    BackendSpec,
    HostFiles,
    Labels,
    Preparer,
    Simulator,
    Telemetry,
)
from nodeplug.config.load import schema
from nodeplug.host.host import Host, open_host
from nodeplug.host.root import HostRoot
from nodeplug.offers import OfferRule
from nodeplug.quarantine import QuarantineRule
from nodeplug.supervisor.agent import Rules
from nodeplug.testing.served import ServedBackend, serve
from nodeplug.values.device import Device
from nodeplug.values.edits import NO_EDITS, ContainerEdits, merge
from nodeplug.values.inventory import Inventory

T = TypeVar("T")

# Generous: the promises to users are measured elsewhere; here a hang must end.
_PATIENCE_SECONDS = 5.0
# Allocate runs on the loop that serves all devices (R43).
_LONGEST_BLOCK_SECONDS = 0.25


class BackendContract:
    """Inherit and set `spec`."""

    spec: ClassVar[BackendSpec]

    def test_the_description_is_complete(self) -> None:
        """Operators read the summary; the schema documents every key."""
        assert self.spec.summary
        assert self.spec.name.isidentifier()
        assert issubclass(self.spec.settings, msgspec.Struct)
        _check_described(schema({self.spec.name: self.spec}))

    def test_the_probe_answers_on_an_empty_host(self, tmp_path: Path) -> None:
        """`nodeplug backends` runs on machines without the hardware."""
        presence = self.spec.probe(HostRoot(tmp_path))
        assert presence.detail

    def test_an_empty_host_is_no_error(self, tmp_path: Path) -> None:
        """No driver and no hardware at start: no devices, and no crash."""
        settings = msgspec.convert({}, self.spec.settings)
        inventory = _run(self._first(self.spec.build(settings, _host(tmp_path), None)))
        assert not [device for device in inventory.devices.values() if device.healthy]

    def test_the_simulator_offers_four_healthy_devices(self, tmp_path: Path) -> None:
        """Enough for every walk through the main job."""
        inventory = _run(self._first(self._backend(tmp_path)[0]))
        resource = self.spec.simulator(tmp_path).resource
        assert len(_healthy(inventory, resource)) >= 4  # noqa: PLR2004 - what Simulator promises

    def test_what_is_built_has_the_declared_capabilities(self, tmp_path: Path) -> None:
        """Core calls what the spec declares, and nothing else."""
        backend, _ = self._backend(tmp_path)
        known = (Preparer, HostFiles, Labels, Telemetry)
        has = {kind for kind in known if isinstance(backend, kind)}
        assert has == set(self.spec.capabilities)

    def test_discovering_twice_gives_equal_inventories(self, tmp_path: Path) -> None:
        """Ids, order and edits are stable over a restart (R45)."""
        first = _run(self._first(self._backend(tmp_path)[0]))
        second = _run(self._first(self._backend(tmp_path)[0]))
        assert first == second

    def test_a_replaced_backend_hands_its_knowledge_on(self, tmp_path: Path) -> None:
        """A reload shows the same devices with the same health."""
        backend, settings = self._backend(tmp_path)
        first = _run(self._first(backend))
        second = _run(self._first(self.spec.build(settings, _host(tmp_path), backend)))
        assert first == second

    def test_a_lost_device_is_told_and_so_is_its_recovery(self, tmp_path: Path) -> None:
        """Health can go and come; no other device is touched by it."""
        simulator = self.spec.simulator(tmp_path)
        backend, _ = self._backend(tmp_path, simulator)
        before, lost_id, during, after = _run(_lose_and_recover(backend, simulator))
        assert not _is_healthy(during, lost_id)
        others = {i: d for i, d in before.devices.items() if i != lost_id}
        assert {i: d for i, d in during.devices.items() if i != lost_id} == others
        assert after == before

    def test_allocate_depends_on_its_arguments_alone(self, tmp_path: Path) -> None:
        """Requests are repeated (R46), and answers outlive the agent (R45)."""
        first, resource, devices = self._allocatable(tmp_path)
        second, _, _ = self._allocatable(tmp_path)
        replies = [_run(each.allocate(resource, devices)) for each in (first, first, second)]
        assert replies[0] == replies[1] == replies[2]

    def test_every_device_alone_gets_edits(self, tmp_path: Path) -> None:
        """A container that asked for a device can use it."""
        backend, resource, devices = self._allocatable(tmp_path)
        for device in devices:
            added = _run(backend.allocate(resource, [device]))
            assert _all_edits([device], added) != NO_EDITS

    def test_all_devices_fit_into_one_container(self, tmp_path: Path) -> None:
        """No two devices contradict each other (R60)."""
        backend, resource, devices = self._allocatable(tmp_path)
        added = _run(backend.allocate(resource, devices))
        edits = _all_edits(devices, added)
        assert all({*device.edits.nodes} <= {*edits.nodes} for device in devices)

    def test_resources_do_not_fight_over_environment_variables(self, tmp_path: Path) -> None:
        """One container may use two resources of this backend (R60)."""
        backend, _ = self._backend(tmp_path)
        merge(_run(_one_of_each_resource(backend)))

    def test_stopping_leaves_nothing_behind(self, tmp_path: Path) -> None:
        """No task outlives the backend."""

        async def scenario() -> set[asyncio.Task[Any]]:
            backend, _ = self._backend(tmp_path)
            before = asyncio.all_tasks()
            async with aclosing(backend.inventories()) as inventories:
                await anext(inventories)
            return asyncio.all_tasks() - before

        assert not _run(scenario())

    def test_a_waiting_backend_can_be_cancelled(self, tmp_path: Path) -> None:
        """Shutdown is quick, whatever the backend waits for."""

        async def scenario() -> float:
            backend, _ = self._backend(tmp_path)
            async with aclosing(backend.inventories()) as inventories:
                await anext(inventories)
                waiting = asyncio.ensure_future(anext(inventories))
                await asyncio.sleep(0)
                waiting.cancel()
                started = time.monotonic()
                await asyncio.wait({waiting}, timeout=_PATIENCE_SECONDS)
                return time.monotonic() - started

        assert _run(scenario()) < 1.0

    def test_discovery_does_not_block_the_loop(self, tmp_path: Path) -> None:
        """Other backends allocate meanwhile."""

        async def scenario() -> float:
            backend, _ = self._backend(tmp_path)
            async with _longest_block() as longest:
                await self._first(backend)
            return longest()

        assert _run(scenario()) < _LONGEST_BLOCK_SECONDS

    def test_the_agent_serves_it(self) -> None:
        """Registered, allocated, lost, recovered, with the kubelet's own eyes."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            await play.admit(1)
            play.simulator.lose()
            await play.listed(before - 1)
            play.simulator.recover()
            await play.listed(before)

        _run(serve(self.spec, {}, scenario))

    def test_its_devices_can_be_shared(self) -> None:
        """Two containers have one device; all replicas of a lost one are told at once."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            for _ in range(before):
                await play.admit(1)
            play.simulator.lose()
            await play.listed(before - 2)

        _run(serve(self.spec, {"replicas": 2}, scenario))

    def test_its_devices_can_be_renamed(self) -> None:
        """The public name reaches the backend, the devices stay the same."""

        async def scenario(play: ServedBackend) -> None:
            await play.listed()
            await play.admit(2)

        _run(serve(self.spec, {"rename": "renamed.example.com/device"}, scenario))

    def test_its_devices_can_be_injected_through_cdi(self) -> None:
        """Every name that a container gets stands in a specification."""

        async def scenario(play: ServedBackend) -> None:
            await play.listed()
            run = await play.admit(2)
            assert run.cdi_devices
            assert set(run.cdi_devices) <= play.specified()

        _run(serve(self.spec, {"inject": "cdi"}, scenario))

    def test_its_devices_can_be_quarantined_and_released(self) -> None:
        """While they are served; the others stay on offer."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            first = min(play.kubelet.devices(play.resource))
            rule = QuarantineRule(devices={"id": first}, reason="contract")
            await play.agent.apply(Rules(quarantine=[rule]), {})
            await play.listed(before - 1)
            await play.agent.apply(Rules(), {})
            await play.listed(before)

        _run(serve(self.spec, {}, scenario))

    def test_rules_change_while_a_container_holds_a_device(self) -> None:
        """The device moves to another resource, and is free there only once it is free."""

        async def scenario(play: ServedBackend) -> None:
            before = await play.listed()
            await play.admit(1)
            rule = OfferRule(resource=play.resource, rename="moved.example.com/device")
            await play.agent.apply(Rules([rule]), {})
            moved = dataclasses.replace(play, resource=rule.public_name)
            await moved.listed(before - 1)

        _run(serve(self.spec, {}, scenario))

    def test_every_policy_finds_devices(self) -> None:
        """Whatever the backend tells of places and links."""

        async def scenario(play: ServedBackend) -> None:
            await play.listed()
            await play.admit(2)

        for policy in ("packed", "spread", "aligned"):
            _run(serve(self.spec, {"policy": policy}, scenario))

    def _backend(
        self, folder: Path, simulator: Simulator | None = None
    ) -> tuple[Backend, msgspec.Struct]:
        simulator = simulator or self.spec.simulator(folder)
        settings = msgspec.convert(dict(simulator.settings), self.spec.settings)
        return self.spec.build(settings, _host(folder), None), settings

    async def _first(self, backend: Backend) -> Inventory:
        async with aclosing(backend.inventories()) as inventories:
            return await anext(inventories)

    def _allocatable(self, folder: Path) -> tuple[Backend, str, list[Device]]:
        simulator = self.spec.simulator(folder)
        backend, _ = self._backend(folder, simulator)
        devices = _healthy(_run(self._first(backend)), simulator.resource)
        return backend, simulator.resource, devices


def _run(work: Awaitable[T]) -> T:
    async def limited() -> T:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await work

    return asyncio.run(limited())


def _host(folder: Path) -> Host:
    return open_host(str(folder), str(folder / "uevents.sock"))


def _healthy(inventory: Inventory, resource: str) -> list[Device]:
    return [d for d in inventory.devices.values() if d.resource == resource and d.healthy]


def _is_healthy(inventory: Inventory, device_id: str) -> bool:
    return device_id in inventory.devices and inventory.devices[device_id].healthy


def _all_edits(devices: list[Device], added: ContainerEdits) -> ContainerEdits:
    return merge([*(device.edits.yielding_to(added) for device in devices), added])


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


async def _one_of_each_resource(backend: Backend) -> list[ContainerEdits]:
    async with aclosing(backend.inventories()) as inventories:
        inventory = await anext(inventories)
    by_resource = itertools.groupby(
        sorted(inventory.devices.values(), key=lambda device: device.resource),
        key=lambda device: device.resource,
    )
    edits = []
    for resource, devices in by_resource:
        device = next(devices)
        edits.append(_all_edits([device], await backend.allocate(resource, [device])))
    return edits


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


def _check_described(document: dict[str, Any]) -> None:
    for name, definition in document["$defs"].items():
        for key, value in definition.get("properties", {}).items():
            described = "description" in value or "$ref" in value
            assert described, f"{name}.{key} has no description"
